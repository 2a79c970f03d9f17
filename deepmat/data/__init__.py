"""Training samples, from foregrounds and backgrounds, from composites or drawn procedurally; and compositing.

A sample (`samples.Sample`) is a dict of uint8 arrays of one height and width, whatever its origin. A batch holds
tensors under the same keys:

| key           | sample    | batch        | values                                                   |
|---------------|-----------|--------------|----------------------------------------------------------|
| image         | [H, W, 3] | [N, 3, H, W] | RGB, what the network sees                               |
| composite     | [H, W, 3] | [N, 3, H, W] | RGB, the image before blur, noise and JPEG               |
| fg, bg        | [H, W, 3] | [N, 3, H, W] | RGB                                                      |
| alpha         | [H, W]    | [N, 1, H, W] | 0 ... 255                                                |
| trimap        | [H, W]    | [N, 1, H, W] | 0 background, 128 unknown, 255 foreground                |
| matte         | [H, W]    | [N, 1, H, W] | 0 ... 255, closed-form; for networks that take it only  |
| name          | str       | list of str  | foreground and background, or the composite's name       |

A sample is a function of (seed, epoch, index, scale), so that any number of workers and any resume give the same data.

Modules in the order of use: `layouts` and `pairs` find files, `origins` opens samples from them or procedurally,
`augment` and `augment_trimap` make samples, `samples` numbers them, `cache` keeps decoded pictures, `show` draws a
sheet. `composite` and `compositing/` write data sets.
"""
