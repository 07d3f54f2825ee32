/* The loop IR: loop nests over indices, with registers, vectors and register tiles; and the
 * lowering of scheduled kernels to it.  It knows a vector's number of lanes and no more of the
 * machine; only emit/ knows LLVM. */
#ifndef GRADC_LOWER_H
#define GRADC_LOWER_H

#include "schedule/schedule.h"

/* A kernel's memory operand.  Operands are numbered by position, so that kernels equal up to
 * their operands print, hash and compile alike. */
typedef enum {
    SPACE_OPERAND, /* pointer number `slot` of the kernel's argument block */
    SPACE_SCRATCH, /* bytes from `offset` of this thread's scratch         */
} BufferSpace;

struct Buffer {
    BufferSpace space;
    DType type;
    int slot;
    uint64_t offset;
    uint64_t bytes;
    Node *node;     /* OPERAND: what it is, for the caller of the kernel  */
    Tensor *tensor; /* OPERAND of an update: the tensor stored to, else NULL */
    bool written;
    bool past;        /* read at earlier steps of a recurrence only: apart from what is written   */
    const char *name; /* printed as %0, %1, … and s0, s1, … */
};

typedef enum {
    LOOP_FOR, /* for index from begin, step, below end: body                                   */
    LOOP_SET, /* register = value                                                              */
    LOOP_COMBINE, /* register = reduction->combine(register, value)                                */
    LOOP_STORE, /* buffer[offset + data] = value                                                 */
    LOOP_ADD,   /* buffer[offset + data] += value, lane after lane                               */
    LOOP_ASK,   /* buffer[offset] is read later: bring it near; it may lie outside of the buffer */
    LOOP_TILE,  /* c[i, j] (+)= sum[k] a[k, i] * b[k, j] on packed panels                        */
    LOOP_SLICE, /* c = a block of depth of the panel a, each number as three of bf16              */
} LoopKind;

typedef enum {
    FOR_SERIAL,
    FOR_PARALLEL, /* the kernel's outermost loop: its iterations are independent; the kernel's
                     begin and end count them */
    FOR_VECTOR,   /* the index runs over lanes; the rest is done under a mask.  A register SET
                     outside and COMBINEd inside is kept per lane and folded, in one fixed tree,
                     after the loop. */
    FOR_UNROLLED,
} ForKind;

/* A loop over steps of a tile's depth, and how far these lie apart in both operands. */
typedef struct DepthLoop {
    int64_t count, a_stride, b_stride;
} DepthLoop;

enum { MOST_DEPTH_LOOPS = 6 };
/* Of matrix tiles that multiply bf16: a number as so many, the values of the depth, the rows. */
enum { SLICES = 3, SLICED_DEPTH = 32, TILE_LINES = 16 };

typedef struct Loop Loop;
typedef VEC(Loop *) LoopList;

/* Memory that later tiles read, asked for at each step of a tile's depth: the line that holds
 * element offset + (step >> shift) * stride, which may lie outside of the buffer.  It comes into the first
 * cache: what many steps ask for again would wait in line with the panels otherwise.  (A tile of slices asks once, and
 * for the second cache: its panels fill the first.) */
typedef struct Ahead {
    Buffer *buffer;
    const Affine *offset;
    int64_t stride;
    int shift;
    const Affine
        *when; /* of a tile of slices: asked for where this is not negative; NULL: always */
} Ahead;

/* What a tile of slices does besides, while its products run: of each block of the depth that it is at, part number `part`
 * of `parts` of the SLICE's lines or steps.  The last tile, the one at `column` beyond whose columns the index does not
 * reach, also does what is left after it; NULL: all parts have a tile. */
typedef struct Aside {
    Loop *slice;
    const Affine *part;
    int64_t parts;
    Index *index;
    const Affine *column;
} Aside;

struct Loop {
    LoopKind kind;
    Span span; /* the .nn line it comes from */
    /* FOR: index = begin; index < min(extent of index at run time, begin + length); += step */
    ForKind how;
    Index *index;
    const Affine *begin; /* NULL: 0 */
    int64_t length;      /* 0: to the end */
    const Affine *end;   /* it ends there, if not before; NULL: nowhere earlier */
    int64_t step;        /* 1, or a block's size */
    LoopList body;
    /* SET, COMBINE, STORE, ADD, ASK.  A load inside an arm of `select` takes place only where (in the
     * lanes in which) the condition chooses that arm: it may be out of bounds elsewhere. */
    int local;
    const Expr *value;
    const Reduction *reduction;
    Buffer *buffer;
    const Affine *offset; /* elements */
    const DataTerm *data;
    int data_count;
    bool past; /* STORE: whole vectors, which no cache need keep */
    /* TILE: c is [rows][c_stride], all of the real type; a[i, k] is at a_offset + i * a_row_stride +
     * k * a_depth_stride, b[k, j] at b_offset + k * b_stride + j.  What lies beyond the problem's edge in
     * a and b may be anything.
     * `depth` at run time is min(extent of depth_index - depth_begin, depth_length); each step of it is
     * that of the loops `inner`, the outermost first, and then of `slide`, if it has any: its a_stride is
     * a_row_stride or the negative of that, so that neighbouring rows share what they read. */
    Buffer *a, *b, *c;
    int64_t a_row_stride, a_depth_stride, b_stride;
    DepthLoop inner[MOST_DEPTH_LOOPS];
    int inner_count;
    DepthLoop slide;
    const Affine *a_offset, *b_offset, *c_offset;
    int rows, columns, c_stride;
    Index *depth_index;
    const Affine *depth_begin;
    int64_t depth_length;
    const Affine *depth_from, *depth_to; /* what lies outside adds nothing; NULL: no limit */
    bool accumulate;                     /* add to what c holds */
    bool
        along_depth; /* b[k, j] is at b_offset + k + j * b_stride instead, and a's depth stride 1; of rows
                         and columns beyond these indices' extents nothing is read            */
    Index *row, *column;
    const Affine *row_begin, *column_begin;
    VEC(Ahead) aheads;
    VEC(Aside) asides;
    bool sliced;         /* a and b are slices, and rows and columns of whole tiles …        */
    const Affine *chunk; /* … which begin with 0 where this is 0, if they accumulate */
    /* Of a tile of slices that has `inner`, one loop: the depth is so many equal parts, of whole blocks.  All are made of
     * the same slices of a's lines, those of part n from a_offset + n * a_stride on; b's go on from part to part. */
    int64_t lines; /* SLICE by line, and a tile's a: of the panel, of which a slice has as many */
    /* SLICE: of `rows` lines from a_offset on, a_row_stride apart, the SLICED_DEPTH values of the depth, a_depth_stride
     * apart, from its step depth_at on; 0 from where it ends.  One of both strides is 1: the depth's, or (by_step) the
     * lines'.  Each slice is of tiles, 16 lines each, with a row for each line or, by step, for each of half as many
     * steps; values half a block of depth apart stand side by side.  The panel's slices of all the depth, from the first
     * of these lines on, begin at c_offset.  Lines from the extent of `row` on, of which the first here is the one at
     * row_begin, are not read: they may be anything.  With a value, and without a, each number is computed, at the line
     * `row` and the step `index`.  By line there may be copies: line i of rows + copies - 1 is line i - n of the rows of
     * copy n, which is copy_stride further on, if it has such a line. */
    int copies; /* 0: one */
    int64_t copy_stride;
    const Affine *depth_at;
    bool by_step;
};

/* One function of the emitted object. */
typedef struct LoopKernel {
    ExprPool *pool; /* of its expressions */
    const Kernel *kernel;
    VEC(Buffer *) operands;
    VEC(DType) locals; /* registers */
    LoopList body;     /* at most one FOR_PARALLEL, and then it is the last statement: what stands
                          before it is done by each call */
    uint64_t scratch_bytes;
    bool draws;      /* random numbers                                                   */
    int first_site;  /* … the least of their sites: given with each call, others count from it */
    Index *parallel; /* its index, or NULL: run once with begin 0, end 1 */
    int64_t parallel_step;
    bool stores_past;  /* the caches, somewhere */
    bool matrix_tiles; /* it uses the processor's matrix tiles */
    bool serial;       /* too little work to be worth waking a thread */
    Span span;
} LoopKernel;

/* ---- nest.c, pack.c, tile.c, scatter.c --------------------------------------------------------------- */

LoopKernel *lower_kernel(const Schedule *s, const Kernel *k, const LaneModel *lanes);

/* ---- loop.c ------------------------------------------------------------------------------------------- */

/* Is it within the buffer, whatever its indices are? */
bool offset_is_inside(const Buffer *b, const Affine *offset);

/* ---- summary.c ---------------------------------------------------------------------------------------- */

/* "tile 8x32, depth 256, left packed by row, right packed by depth", "loops, vectors over o" */
void loop_summary(Text *out, const LoopKernel *k);

/* ---- print.c ------------------------------------------------------------------------------------------ */

/* With operands numbered: two kernels that print alike are one function. */
void loop_print(Text *out, const LoopKernel *k);

#endif
