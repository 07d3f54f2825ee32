/* JPEG through libjpeg-turbo, grey or colour as the file is.  Of a large one it is told to leave out
 * the frequencies that shrinking would: less work, as long as twice the wanted size remains. */
#include "picture.h"

#include <setjmp.h>
#include <stdlib.h>
/* jpeglib.h wants FILE and size_t declared. */
#include <jerror.h>
#include <jpeglib.h>

typedef struct Guard {
    struct jpeg_error_mgr manager; /* first: libjpeg knows no other */
    jmp_buf back;
    char text[JMSG_LENGTH_MAX];
} Guard;

static void give_up(j_common_ptr common)
{
    Guard *g = (Guard *)(void *)common->err;
    common->err->format_message(common, g->text);
    longjmp(g->back, 1);
}

/* Of what libjpeg only warns of, this makes up pixels: data are missing or damaged. */
static void take_message(j_common_ptr common, int level)
{
    static const int harmful[] = {JWRN_JPEG_EOF, JWRN_HIT_MARKER, JWRN_HUFF_BAD_CODE,
                                  JWRN_MUST_RESYNC};
    for (size_t i = 0; level < 0 && i < sizeof harmful / sizeof *harmful; i++)
        if (common->err->msg_code == harmful[i])
            give_up(common);
}

static void choose_scale(struct jpeg_decompress_struct *j, size_t width, size_t height)
{
    j->out_color_space = j->num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
    j->scale_num = j->scale_denom = 1;
    while (j->scale_denom < 8 && j->image_width / (2 * j->scale_denom) >= 2 * width &&
           j->image_height / (2 * j->scale_denom) >= 2 * height)
        j->scale_denom *= 2;
}

static void read_rows(struct jpeg_decompress_struct *j, Picture *p)
{
    while (j->output_scanline < j->output_height) {
        JSAMPROW row = p->pixels + j->output_scanline * p->width * p->channels;
        jpeg_read_scanlines(j, &row, 1);
    }
}

bool picture_decode_jpeg(Picture *p, const Bytes *b, size_t width, size_t height, const char *path,
                         Error *e)
{
    struct jpeg_decompress_struct j;
    Guard guard;
    j.err = jpeg_std_error(&guard.manager);
    guard.manager.error_exit = give_up;
    guard.manager.emit_message = take_message;
    *p = (Picture){0};
    if (setjmp(guard.back)) {
        jpeg_destroy_decompress(&j);
        free(p->pixels);
        *p = (Picture){0};
        return error_set(e, "%s: the JPEG cannot be read: %s", path, guard.text);
    }
    jpeg_create_decompress(&j);
    jpeg_mem_src(&j, b->data, b->size);
    jpeg_read_header(&j, TRUE);
    choose_scale(&j, width, height);
    jpeg_start_decompress(&j); /* its own limit is 65500 by 65500 pixels */
    p->width = j.output_width;
    p->height = j.output_height;
    p->channels = (size_t)j.output_components;
    p->pixels = memory_get(p->width * p->height, p->channels);
    read_rows(&j, p);
    jpeg_finish_decompress(&j);
    jpeg_destroy_decompress(&j);
    return true;
}
