"""Training data: clean photos, the synthesis that degrades them, and real pairs.

Arrays are float32 (H, W, 3), sRGB-coded RGB in [0, 1], as cv2 works on them; every function takes
its own numpy Generator, so that one integer reproduces a sample.
"""
