/* PNG through libpng: every depth and palette as 8 bits, grey or colour as the file is; what is
 * transparent lies on white. */
#include "picture.h"

#include <png.h>
#include <stdlib.h>

static bool damaged(png_image *image, const char *path, Error *e)
{
    error_set(e, "%s: the PNG cannot be read: %s", path, image->message);
    png_image_free(image);
    return false;
}

bool picture_decode_png(Picture *p, const Bytes *b, size_t width, size_t height, const char *path,
                        Error *e)
{
    static const png_color white = {255, 255, 255};
    png_image image = {.version = PNG_IMAGE_VERSION};
    (void)width, (void)height;
    if (!png_image_begin_read_from_memory(&image, b->data, b->size))
        return damaged(&image, path, e);
    if ((uint64_t)image.width * image.height > PICTURE_LIMIT) {
        png_image_free(&image);
        return error_set(e, "%s: has too many pixels", path);
    }
    const bool colour = image.format & PNG_FORMAT_FLAG_COLOR;
    image.format = colour ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
    *p = (Picture){NULL, image.width, image.height, colour ? 3 : 1};
    p->pixels = memory_get(p->width * p->height, p->channels);
    if (png_image_finish_read(&image, &white, p->pixels, 0, NULL))
        return true;
    free(p->pixels);
    return damaged(&image, path, e);
}
