"""Speed and quality, as ratios against stated baselines measured in the same run."""
