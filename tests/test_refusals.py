"""Which answers of a describer are kept: what is thrown away wrongly is a description lost."""

# ruff: noqa: RUF001  # other scripts are what is tested

import pytest

from ml.refusals import clean_answer

REFUSED = [
    "I'm sorry, but I can't help with describing this.",
    "I’m sorry, I can only read text.",
    "I'm afraid that I have no way to play this.",
    "I am unable to process audio files directly.",
    "I'm not able to listen to audio, but this may be a slow waltz for two violins.",
    "I don't have the ability to hear. The piece is probably a slow waltz.",
    "Apologies, the description is not something that I can give.",
    "As an AI language model, I have no ears for this music.",
    "As a text-based model I work with words only, so here is a guess: a waltz.",
    "I'm just an AI and music is beyond me, whatever it may be.",
    "There was no audio provided with your message, so here is nothing.",
    "It seems that no image was attached to your request.",
    "It looks like you haven't attached an image. What would you like to know?",
    "The audio file could not be loaded. Try another format of it.",
    "Please provide the audio file so that I can describe it for you.",
    "A waltz in three four time. Please note that I cannot actually hear the recording.",
    "I do not see any image here, what would you like to know about it?",
    "Unfortunately, I cannot say anything about this piece of music.",
    '"Sorry, but this is not something I can look at for you."',
    "Es tut mir leid, aber ich kann keine Audiodateien anhören.",
    "Leider kann ich das Bild nicht sehen, das Sie meinen.",
    "Als KI-Sprachmodell kann ich keine Musik hören.",
    "Je suis désolé, mais je ne peux pas écouter ce fichier audio.",
    "Malheureusement, je ne peux pas voir l'image.",
    "Lo siento, pero no puedo escuchar archivos de audio.",
    "Mi dispiace, ma non posso ascoltare questo file.",
    "Desculpe, mas não consigo ouvir o ficheiro de áudio.",
    "Het spijt me, maar ik kan geen audio beluisteren.",
    "К сожалению, я не могу прослушать этот файл.",
    "Przykro mi, ale nie mogę odtworzyć tego pliku.",
    "很抱歉，我无法收听音频文件。请您提供文字。",
    "申し訳ありませんが、音声を聞くことはできません。",
    "죄송하지만 오디오 파일을 들을 수 없습니다.",
    "Yes.",
    "",
    "la " * 32,
    "The music is slow and soft and gentle. " * 20,
    "音乐很慢很柔和，" * 30,
]
MEANT = [
    "A slow piece for strings; there is no percussion, and no vocals are heard until the end.",
    "No sound is heard in this quiet forest but a bird, far away; mist lies over the ground.",
    "The picture shows a man who cannot find his keys, sorry and tired, in warm colours.",
    "A quiet piano ballad. The singer apologizes to an old friend; sound and mood are gentle.",
    "The children do not see the dog behind them; it hides under the table of the kitchen.",
    "A blind man cannot see the picture, and he listens to the guide; warm, soft colours.",
    "A road sign says: please share the road. Behind it, a field of rape under a grey sky.",
    "The office writes: please send your tax form by May. Its tone is dry and a little stern.",
    "A photo of a desert at noon, in ochre and white. Nobody is to be seen in it, and no text.",
    "As an artist he is at home in many genres: fast, loud jazz with trumpet and drums.",
    "The author cannot hear well any more; a letter about growing old, calm and without regret.",
    "Lamento della ninfa è cantato da una voce di donna, lento e triste, con un liuto.",
    "I Can See Clearly is sung by a choir here: bright, slow, with an organ and handclaps.",
    "一首缓慢的钢琴曲，气氛忧郁。",
    "Das Bild zeigt einen Hund, der leider nicht in die Kamera sieht, in warmen Farben.",
]


@pytest.mark.parametrize("answer", REFUSED)
def test_answers_that_say_nothing_are_thrown_away(answer: str) -> None:
    assert clean_answer(answer) == ""


@pytest.mark.parametrize("answer", MEANT)
def test_real_descriptions_stay(answer: str) -> None:
    assert clean_answer(answer) == answer


def test_a_remark_about_what_was_not_there_goes_and_the_description_stays() -> None:
    said = "Waves roll over a beach at dusk. No audio was provided. The mood is calm."
    assert clean_answer(said) == "Waves roll over a beach at dusk. The mood is calm."
