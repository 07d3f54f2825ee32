/* Pictures of any format the build knows, brought to the size and the channels of an input. */
#include "picture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#ifdef GRADRT_PNG
#define DECODE_PNG picture_decode_png
#else
#define DECODE_PNG NULL
#endif
#ifdef GRADRT_JPEG
#define DECODE_JPEG picture_decode_jpeg
#else
#define DECODE_JPEG NULL
#endif

static const struct {
    const char *name, *library, *magic;
    size_t length;
    PictureDecode *decode; /* NULL: the build lacks the library */
} formats[] = {{"PNG", "libpng", "\x89PNG", 4, DECODE_PNG},
               {"JPEG", "libjpeg-turbo", "\xff\xd8\xff", 3, DECODE_JPEG}};

bool picture_decode(Picture *p, const Bytes *b, size_t width, size_t height, const char *path,
                    Error *e)
{
    *p = (Picture){0};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (b->size < formats[i].length ||
            memcmp(b->data, formats[i].magic, formats[i].length) != 0)
            continue;
        if (formats[i].decode)
            return formats[i].decode(p, b, width, height, path, e);
        error_set(e, "%s: is a %s file, and this program was built without %s", path,
                  formats[i].name, formats[i].library);
        return error_add(e, "help: install it (scripts/setup does), and build gradc and this "
                            "program anew");
    }
    return error_set(e, b->size ? "%s: is neither a PNG nor a JPEG file" : "%s: is empty", path);
}

/* ---- channels ---------------------------------------------------------------------------------------- */

/* Luma as of JPEG and of ITU-R BT.601, in 16 bits after the point. */
static uint8_t grey_of(const uint8_t *rgb)
{
    return (uint8_t)((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000) >> 16);
}

static void convert(const uint8_t *from, size_t count, size_t channels, size_t wanted, uint8_t *out)
{
    if (channels == wanted)
        memcpy(out, from, count * channels);
    for (size_t i = 0; channels > wanted && i < count; i++)
        out[i] = grey_of(from + 3 * i);
    for (size_t i = 0; channels < wanted && i < count; i++)
        memset(out + 3 * i, from[i], 3);
}

/* ---- size ------------------------------------------------------------------------------------------------ */

#define WEIGHT_BITS 22

/* What of a line of `from` pixels makes each of `to`: bilinear, and over as many pixels as one
 * of the result covers, so that nothing is skipped when shrinking. */
typedef struct Filter {
    size_t taps;
    size_t *first;    /* of each result */
    int32_t *weights; /* taps of each; together 1 << WEIGHT_BITS */
} Filter;

static void filter_row(Filter *f, size_t i, size_t from, size_t to)
{
    const double scale = (double)from / (double)to, support = scale > 1 ? scale : 1;
    const double centre = ((double)i + 0.5) * scale;
    double sum = 0;
    const double low = centre - support + 0.5, high = centre + support + 0.5;
    const size_t first = low > 0 ? (size_t)low : 0, end = high < (double)from ? (size_t)high : from;
    double *share = memory_get(f->taps, sizeof *share);
    for (size_t k = 0; k < end - first; k++) {
        const double away = fabs(((double)(first + k) + 0.5 - centre) / support);
        sum += share[k] = away < 1 ? 1 - away : 0;
    }
    f->first[i] = first;
    for (size_t k = 0; k < end - first; k++)
        f->weights[i * f->taps + k] = (int32_t)(share[k] / sum * (1 << WEIGHT_BITS) + 0.5);
    free(share);
}

static void filter_create(Filter *f, size_t from, size_t to)
{
    const double scale = (double)from / (double)to;
    f->taps = (size_t)ceil(scale > 1 ? scale : 1) * 2 + 1;
    f->first = memory_get(to, sizeof *f->first);
    f->weights = memory_get(to * f->taps, sizeof *f->weights);
    for (size_t i = 0; i < to; i++)
        filter_row(f, i, from, to);
}

static void filter_destroy(Filter *f)
{
    free(f->first);
    free(f->weights);
}

/* One line of `from` values, `step` apart, becomes `to`. */
static void filter_line(const Filter *f, const uint8_t *in, size_t from, size_t step, uint8_t *out,
                        size_t to)
{
    for (size_t i = 0; i < to; i++) {
        const int32_t *w = f->weights + i * f->taps;
        int64_t sum = 1 << (WEIGHT_BITS - 1);
        for (size_t k = 0; k < f->taps && f->first[i] + k < from; k++)
            sum += (int64_t)w[k] * in[(f->first[i] + k) * step];
        sum >>= WEIGHT_BITS;
        out[i * step] = (uint8_t)(sum < 255 ? sum : 255);
    }
}

/* Lines of `from` pixels, `lines` of them; both sides have `channels` values a pixel. */
static void stretch_rows(const uint8_t *in, size_t lines, size_t from, size_t to, size_t channels,
                         uint8_t *out)
{
    Filter f;
    filter_create(&f, from, to);
    for (size_t line = 0; line < lines; line++)
        for (size_t c = 0; c < channels; c++)
            filter_line(&f, in + line * from * channels + c, from, channels,
                        out + line * to * channels + c, to);
    filter_destroy(&f);
}

static void stretch_columns(const uint8_t *in, size_t from, size_t to, size_t row, uint8_t *out)
{
    Filter f;
    filter_create(&f, from, to);
    for (size_t i = 0; i < row; i++)
        filter_line(&f, in + i, from, row, out + i, to);
    filter_destroy(&f);
}

void picture_crop(Picture *p, size_t width, size_t height)
{
    const uint64_t across = (uint64_t)p->width * height, down = (uint64_t)p->height * width;
    size_t w = across > down ? (size_t)(down / height) : p->width;
    size_t h = across < down ? (size_t)(across / width) : p->height;
    w = w ? w : 1;
    h = h ? h : 1;
    const size_t left = (p->width - w) / 2, top = (p->height - h) / 2;
    for (size_t i = 0; i < h; i++)
        memmove(p->pixels + i * w * p->channels,
                p->pixels + ((top + i) * p->width + left) * p->channels, w * p->channels);
    p->width = w;
    p->height = h;
}

void picture_fit(const Picture *p, size_t width, size_t height, size_t channels, uint8_t *out)
{
    const uint8_t *at = p->pixels;
    uint8_t *wide = NULL, *tall = NULL;
    if (p->width != width) {
        wide = memory_get(p->height * width, p->channels);
        stretch_rows(at, p->height, p->width, width, p->channels, wide);
        at = wide;
    }
    if (p->height != height) {
        tall = memory_get(height * width, p->channels);
        stretch_columns(at, p->height, height, width * p->channels, tall);
        at = tall;
    }
    convert(at, width * height, p->channels, channels, out);
    free(wide);
    free(tall);
}
