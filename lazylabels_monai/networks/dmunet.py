"""The multi-scale densely connected U-Net of Zhang et al. 2018, which Ke et al. 2020 compare with on GlaS (Table 3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.blocks import Convolution, UpSample
from monai.networks.nets.basic_unet import TwoConv
from torch import Tensor, nn

from lazylabels_monai.networks.base import CHANNELS, AnySizeNet
from lazylabels_monai.networks.blocks import ACT, NORM
from lazylabels_monai.networks.quick import quicken_norms

__all__ = ["DMUNet"]


class DMUNet(AnySizeNet):
    """Single-task U-Net with dense connections between resolutions, after MDU-Net (Ke et al. write "DMUnet").

    Zhang, Jin, Xu, Xu, Zhang: MDU-Net: Multi-scale Densely Connected U-Net for biomedical image segmentation, arXiv
    1812.00352, 2018. With ``e`` a map of the contracting path, ``d`` one of the expanding path, ``l`` the resolution (0 the
    finest, ``d = e`` at the coarsest), ``down2`` and ``up4`` sampling by these factors and ``[...]`` a concatenation::

        e[l] = TwoConv([down2(e[l-1]), down4(e[l-2])])                                          encoder2
        d[l] = TwoConv([up2(d[l+1]), up4(d[l+2]), up2(e[l+1]), e[l], down2(e[l-1])])            decoder2, cross3

    *Known*, from the paper's abstract and from a review of it (S.-H. Tsang, 2022), not from its text: the three kinds of
    connections, within the encoder, within the decoder and across; the chosen model, "encoder2-cross3-decoder2", whose
    encoder and decoder take the maps of 2 earlier levels and whose decoder takes the encoder's maps of the previous, the
    same and the next level; that maps are sampled to the size of the level and concatenated.

    *Assumed*: that the 2 earlier levels count the one which a U-Net takes anyway; sampling by max pooling and bilinear
    upsampling, without convolutions of their own; a map that does not exist at an end of the U is left out, and the
    coarsest one, encoder and decoder at once, is concatenated once; sub-blocks, widths and number of resolutions are those
    of the networks it is compared with here. The paper's quantization of the weights is *left out*.

    Images of any size pass, by the same padding as in :py:class:`~lazylabels_monai.networks.MultiTaskUNet`.

    Args:
        spatial_dims: number of spatial dimensions, 2 or 3.
        in_channels: channels of the image.
        num_classes: classes with the background.
        channels: channels at each resolution, the finest first; as many as there shall be resolutions.
        act: activation, in the form MONAI's factories read.
        norm: normalization, likewise.
        dropout: dropout ratio after each normalization; 0 is none.

    Raises:
        ValueError: when an argument is out of its range.

    Examples:
        >>> network = DMUNet(num_classes=3, channels=(4, 8, 8))
        >>> network(torch.rand(2, 1, 30, 50)).shape
        torch.Size([2, 3, 30, 50])
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        in_channels: int = 1,
        num_classes: int = 3,
        channels: Sequence[int] = CHANNELS,
        act: str | tuple = ACT,
        norm: str | tuple | None = NORM,
        dropout: float | tuple = 0.0,
    ) -> None:
        super().__init__(spatial_dims, in_channels, num_classes, channels, norm)
        self.up2, self.up4 = (
            UpSample(spatial_dims, scale_factor=factor, mode="nontrainable", interp_mode="linear", align_corners=False)
            for factor in (2, 4)
        )
        coarsest = len(channels) - 1

        def block(taken: Sequence[int], width: int) -> nn.Module:
            return TwoConv(spatial_dims, sum(taken), width, act=act, norm=norm, bias=True, dropout=dropout)

        self.down = nn.ModuleList(
            block(channels[max(level - 2, 0) : level] if level else [in_channels], channels[level])
            for level in range(coarsest + 1)
        )
        self.up = nn.ModuleList()
        for level in reversed(range(coarsest)):
            decoded = channels[level + 1 : level + 3]
            crossing = channels[max(level - 1, 0) : min(level + 2, coarsest)]
            self.up.append(block([*decoded, *crossing], channels[level]))
        self.head = Convolution(spatial_dims, channels[0], num_classes, kernel_size=1, conv_only=True)
        quicken_norms(self)

    def logits(self, image: Tensor) -> Tensor:
        """Logits of an image whose size needs no padding."""
        encoded: list[Tensor] = []
        pooled: list[Tensor] = []  # down2 of each but the coarsest
        for level, block in enumerate(self.down):
            if level == 0:
                encoded.append(block(image))
            else:
                pooled.append(self.pool(encoded[level - 1]))
                taken = [pooled[level - 1]]
                if level > 1:
                    taken.append(self.pool(pooled[level - 2]))  # the maximum of maxima: 4x4 max pooling
                encoded.append(block(torch.cat(taken, dim=1)))

        coarsest = len(encoded) - 1
        decoded = [encoded[coarsest]]  # the coarsest first
        for step, block in enumerate(self.up):
            level = coarsest - 1 - step
            taken = [self.up2(decoded[step])]
            if step > 0:
                taken.append(self.up4(decoded[step - 1]))
                taken.append(self.up2(encoded[level + 1]))
            taken.append(encoded[level])
            if level > 0:
                taken.append(pooled[level - 1])
            decoded.append(block(torch.cat(taken, dim=1)))
        return self.head(decoded[-1])
