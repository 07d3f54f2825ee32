/* Pictures: decoding by format, and bringing to a size. */
#ifndef GRADRT_PICTURE_H
#define GRADRT_PICTURE_H

#include "data.h"

typedef struct Picture {
    uint8_t *pixels;                /* rows from the top, pixels from the left, channels together */
    size_t width, height, channels; /* 1: grey, 3: red, green, blue */
} Picture;

#define PICTURE_LIMIT (1u << 28) /* pixels: more is damage or an attack */

/* The file's own size; a format that can be decoded smaller for less may stay at or above `width`
 * by `height`.  Pixels to be freed. */
typedef bool PictureDecode(Picture *p, const Bytes *b, size_t width, size_t height,
                           const char *path, Error *e);
PictureDecode picture_decode_png, picture_decode_jpeg; /* picture_png.c, picture_jpeg.c */

/* ---- picture.c ---------------------------------------------------------------------------------- */

/* By the file's first bytes. */
PictureDecode picture_decode;
/* Leaves the largest part around the middle whose sides are as width to height. */
void picture_crop(Picture *p, size_t width, size_t height);
/* Stretches to the size; grey and colour as wanted. */
void picture_fit(const Picture *p, size_t width, size_t height, size_t channels, uint8_t *out);

#endif
