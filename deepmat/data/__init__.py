"""Training samples from foregrounds and backgrounds, from composites or by program.

A sample is a dict of uint8 arrays of one height and width, the same from every origin; in a batch, tensors:

| key           | sample    | batch        | values                                                   |
|---------------|-----------|--------------|----------------------------------------------------------|
| image         | [H, W, 3] | [N, 3, H, W] | RGB, what the network sees                               |
| composite     | [H, W, 3] | [N, 3, H, W] | RGB, the same before blur, noise and JPEG                |
| fg, bg        | [H, W, 3] | [N, 3, H, W] | RGB                                                      |
| alpha         | [H, W]    | [N, 1, H, W] | 0 ... 255                                                |
| trimap        | [H, W]    | [N, 1, H, W] | 0 background, 128 unknown, 255 foreground                |
| name          | str       | list of str  | foreground and background, or the composite's name       |

A sample is a function of (seed, epoch, index, how many times as large) alone, so that any number of workers and any
resume give the same data.
"""
