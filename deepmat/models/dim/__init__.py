"""Deep Image Matting (Xu et al., CVPR 2017), with fast forms and the layouts of other tools' weights."""
