"""The words that CLAP and SigLIP choose from unless the settings name others."""

WORDS_FOR_MUSIC = (
    "ambient", "blues", "classical", "country", "disco", "drum and bass", "electronic", "folk",
    "funk", "gospel", "hip hop", "house", "indie rock", "jazz", "latin", "heavy metal", "new age",
    "opera", "orchestral", "pop", "punk", "reggae", "rhythm and blues", "rock", "soul",
    "soundtrack", "techno", "trance", "world music", "audiobook", "speech", "podcast",
    "acoustic guitar", "electric guitar", "piano", "strings", "violin", "cello", "flute", "brass",
    "saxophone", "synthesizer", "organ", "harp", "accordion", "drums", "percussion", "choir",
    "female vocals", "male vocals", "instrumental", "a cappella", "live concert", "slow", "fast",
    "calm", "energetic", "happy", "sad", "melancholic", "romantic", "dark", "epic", "aggressive",
    "dreamy", "solemn", "playful", "mysterious", "rain", "sea", "birdsong", "crowd",
)  # fmt: skip

WORDS_FOR_PICTURES = (
    "a landscape", "mountains", "the sea", "a beach", "a lake", "a river", "a waterfall",
    "a forest", "a field", "a desert", "a garden", "flowers", "a tree", "the sky", "a sunset",
    "the night sky", "snow", "rain", "a city", "a street", "a village", "a house", "a palace",
    "a castle", "a church", "a bridge", "ruins", "a harbour", "a room", "a kitchen", "a portrait",
    "a group of people", "a child", "a crowd", "a party", "a wedding", "a concert", "sport",
    "a dog", "a cat", "a bird", "a horse", "an insect", "a fish", "a wild animal", "food",
    "a drink", "a car", "a train", "a bicycle", "a ship", "an aeroplane", "a computer", "a book",
    "a document", "a map", "a diagram", "a screenshot", "a meme", "a painting", "a drawing",
    "an illustration", "anime", "a comic", "a sculpture", "a black and white photograph",
    "a macro photograph", "an aerial view", "an abstract pattern", "pixel art", "a 3D rendering",
)  # fmt: skip
