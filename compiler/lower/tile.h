/* The engine for contractions: tile.c, and what it plans and makes its tiles with.  Private to this floor. */
#ifndef GRADC_LOWER_TILE_H
#define GRADC_LOWER_TILE_H

#include "lower/internal.h"

/* Names of indices while an expression is lowered: from → to. */
typedef struct Binding {
    int count;
    Index **from;
    const Affine **to;
} Binding;

/* Estimates for one element, in cycles. */
typedef struct Costs {
    double left, right;             /* packing                                    */
    double left_again, right_again; /* … what several blocks pack, each for itself */
    double epilogue;
} Costs;

typedef struct Engine {
    Lowering *l;
    IndexList groups, rows, columns, depth; /* flattened in this order */
    const Expr *left, *right;
    Index *row, *column;   /* rows and columns as one index each                          */
    int lanes, mr, nr;     /* the register tile                                           */
    int64_t mc, nc;        /* the block: whole panels                                     */
    int split;             /* depth[split] goes in chunks, those before it one by one     */
    int64_t chunk, suffix; /* values of it at once; values of those behind it             */
    bool single;           /* all the depth at once                                       */
    int64_t sum_rows;      /* the epilogue sums over so many rows at once; 0: it does not */
    bool left_by_row;      /* the packed left operand is [rows][depth], not [depth][rows] */
    bool left_ready;       /* the left operand is read where it lies                      */
    bool right_ready;      /* the right one                                               */
    bool streams;          /* … that is a matrix: each tile reads its rows one after the other */
    int64_t rest;          /* its columns that fill no panel                              */
    int64_t packed_rows;   /* how many of the left operand are packed at once: whole panels */
    bool right_by_depth;   /* the right operand lies along the depth: packing transposes  */
    bool in_panels;        /* the right operand is read from panels, which were made for that */
    int64_t right_stride;  /* of those, from one value of the depth to the next              */
    bool dots;             /* both lie along the depth, and the lanes run along it */
    bool sliced;      /* both are taken apart into slices of bf16, for tiles that multiply these */
    bool left_turned; /* … the left one after it has been packed by depth                     */
    bool left_computed;  /* … or as it is computed, in vectors along the depth                 */
    bool right_computed; /* the right one as it is computed, in vectors along the columns     */
    bool by_lines;       /* … or in lines that windows share                                   */
    int64_t region;      /* so many rows share them; 0: none do                                */
    Buffer *turned, *left_slices, *right_slices;
    bool windows;   /* the left operand lies there unevenly, or both do: no product of matrices */
    bool left_even; /* the left operand is a load that steps evenly, by these strides */
    int64_t row_stride, depth_stride;
    int64_t column_stride;             /* of dots                            */
    int64_t tile_row_stride;           /* the rows as the tile reads them    */
    int64_t *left_steps, *right_steps; /* both, by the index of the depth                 */
    Buffer *a, *b, *c;
    const Affine *row_begin, *column_begin; /* of the block */
    const Affine *column_block;             /* which one of those across the columns */
    const Affine *packed_begin;             /* of the rows that are packed at once */
    const Affine *depth_begin;              /* of the chunk, in values of depth[split] */
    const Affine *row_end, *column_end;     /* nothing is to be done from there on; or NULL */
    const Affine *depth_end;                /* the same, in values of depth[split] */
    Loop *tile;                             /* the one that was made, at these  */
    const Affine *tile_row, *tile_column;
    Binding outer; /* the groups, and the depth indices before `split` */
    Costs costs;
    double cost;  /* of all of it, estimated, in cycles */
    double score; /* the same where several threads share it */
} Engine;

static inline int64_t divide_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static inline int64_t round_up(int64_t value, int64_t to)
{
    return divide_up(value, to) * to;
}

static inline int64_t at_most(int64_t value, int64_t most)
{
    return value < most ? value : most;
}

static inline int64_t at_least(int64_t least, int64_t value)
{
    return value > least ? value : least;
}

static inline int log2_of(int64_t value)
{
    int shift = 0;
    while (value >> (shift + 1))
        shift++;
    return shift;
}

enum { LEAST_CACHE = 32768, WAY_BYTES = 4096, LINE_BYTES = 64 };

static inline int64_t cache_bytes(int bytes)
{
    return bytes > LEAST_CACHE ? bytes : LEAST_CACHE;
}

/* Does it fill more than half of the second cache? */
static inline bool is_large(const Engine *e, const Buffer *b)
{
    return (int64_t)b->bytes > cache_bytes(e->l->lanes->l2_bytes) / 2;
}

void bind(Engine *e, Binding *b, Index *from, const Affine *to);
void bind_flat(Engine *e, Binding *b, const IndexList *list, const Affine *flat);
/* An index that the contraction has in parts is bound to what its parts are bound to. */
void bind_splits(Engine *e, Binding *b);
const Expr *bind_expr(Engine *e, const Expr *x, const Binding *b);
/* What a group, or an index of the depth before `split`, is bound to. */
const Affine *binding_of(const Engine *e, const Index *ix);
const Affine *group_number(const Engine *e); /* the block's */

/* What only the last one of blocks does, of which this is the given number: a loop that has an iteration there
 * alone. */
LoopList *tile_open_last(Engine *e, LoopList *into, const Affine *number, int64_t last);
/* Of the tile at the column among those of its panel of rows. */
const Affine *tile_number(const Engine *e, const Affine *column);

/* Rows whose epilogue runs at once, those that it sums over or that share lines; 0: a panel's. */
static inline int64_t tile_set(const Engine *e)
{
    return e->sum_rows ? e->sum_rows : e->region;
}

/* Does each panel of rows have its epilogue as soon as its last chunk of the depth is done, though there are several? */
bool tile_ends_by_panels(const Engine *e);
/* Where that begins. */
static inline int64_t tile_last_chunk(const Engine *e)
{
    return (e->depth.data[e->split]->extent - 1) / e->chunk * e->chunk;
}

/* ---- plan.c ------------------------------------------------------------------------------------------- */

/* How the kernel's contraction is computed. */
Engine plan_contraction(Lowering *l);
/* How much of the depth goes at once, for a tile. */
void depth_choose(Engine *e);
/* Of the contraction's result, at the engine's row and column. */
const Affine *result_offset(Engine *e);

/* ---- block.c ------------------------------------------------------------------------------------------ */

double depth_of(const Engine *e); /* values */
/* Chooses the size of a block, for a tile and a chunk of the depth; gives the cost of all blocks. */
double block_choose(Engine *e);

/* ---- dots.c ------------------------------------------------------------------------------------------- */

/* Chooses the tile and the chunk of the depth; false: the operands do not lie so. */
bool dots_choose(Engine *e);
/* Cycles for so many rows and columns, without the epilogue. */
double dots_cost(const Engine *e, int64_t rows, int64_t columns);
/* Makes the tile at the row and the column one of dots. */
void dots_set(const Engine *e, Loop *tile, const Affine *row, const Affine *column);

/* ---- slices.c ----------------------------------------------------------------------------------------- */

void slices_merge_depth(Engine *e);
/* Chooses the tile, the chunk of the depth and the costs of slicing; false: not for this contraction, or processor. */
bool slices_choose(Engine *e);
/* Cycles for so many rows and columns, without slicing and without the epilogue. */
double slices_cost(const Engine *e, int64_t rows, int64_t columns);
void slices_buffers(Engine *e);
/* Slices the panel of rows that begins at packed_begin. */
void slices_left(Engine *e, LoopList *into);
/* Is the next one sliced while this one's tiles run? */
bool slices_left_aside(const Engine *e);
/* Slices all columns of the block. */
void slices_right(Engine *e, LoopList *into);
/* Are those of the next chunk of the depth sliced while this one's tiles run? */
bool slices_right_aside(const Engine *e);
/* Makes the tile at the row and the column one of slices. */
void slices_set(Engine *e, Loop *tile, const Affine *row, const Affine *column);

/* ---- lines.c ------------------------------------------------------------------------------------------ */

/* Chooses the rows that share lines and the depth, all at once; false: the left operand does not lie so. */
bool lines_choose(Engine *e);
/* How often an element of the windows is sliced: seldom. */
double lines_share(const Engine *e);
int64_t lines_floats(const Engine *e); /* of the slices */
/* Slices the lines of the rows from packed_begin on. */
void lines_slice(Engine *e, LoopList *into);
/* Has the tile at the row read them. */
void lines_set(Engine *e, Loop *tile, const Affine *row);
/* Adds to the tile at the row and the column what it asks for: its part of the next region. */
void lines_ask(Engine *e, Loop *tile, const Affine *row, const Affine *column);

/* ---- pack.c ------------------------------------------------------------------------------------------- */

/* Chooses the order of columns and depth. */
void pack_order(Engine *e);
/* Chooses the layout of the operands. */
void pack_plan(Engine *e);
double pack_cost_left(Engine *e); /* cycles for one element */
double pack_cost_right(Engine *e);
/* How many rows of the left operand to pack at once. */
int64_t pack_left_rows(Engine *e);
int64_t pack_left_size(const Engine *e); /* elements */
/* The rows from packed_begin on, in panels. */
void pack_left(Engine *e, LoopList *into);
/* Where the panel that begins at `row` lies among them. */
const Affine *pack_left_place(const Engine *e, const Affine *row);
/* All columns of the block. */
void pack_right(Engine *e, LoopList *into);
/* The right operand's load at the column and the depth, where columns lie one after the other;
 * *stride: from one value of the depth to the next.  Else NULL. */
const Expr *pack_source_row(Engine *e, const Affine *column, const Affine *depth, int64_t *stride);

/* ---- place.c ------------------------------------------------------------------------------------------ */

/* Puts the rows in the order of the left operand's memory. */
void place_order_rows(Engine *e);
/* Panels of how many rows or columns the tile can read where they lie: divisors of this; 0: none.  Sets
 * the row's stride, and the depth's. */
int64_t place_left_run(Engine *e);
int64_t place_right_run(Engine *e);
/* Do both operands lie along the depth, in lines that are evenly apart?  Sets the strides. */
bool place_along_depth(Engine *e);
/* Does one step lead through all of the depth? */
bool place_is_even(const Engine *e, const int64_t *steps);
/* Says whether the left operand steps evenly, and how. */
void place_note_left(Engine *e);
/* Do so many runs of numbers stay in their part of the first cache, or do too many lines share a set? */
bool place_stays_in_cache(const Engine *e, int64_t runs, int64_t run, int64_t stride);
/* Is that as fast as a packed panel? */
bool place_left_pays(const Engine *e);
bool place_right_pays(const Engine *e);
/* Does the right operand lie in panels as the tile wants them?  Puts the depth in their order. */
bool place_in_panels(Engine *e);
/* The load of the element at the row or column and the chunk's beginning. */
const Expr *place_left(Engine *e, const Affine *row);
const Expr *place_right(Engine *e, const Affine *column);

/* ---- ahead.c ------------------------------------------------------------------------------------------ */

/* Adds to the tile at the row and the column what it asks for. */
void ahead_ask(Engine *e, Loop *tile, const Affine *row, const Affine *column);
/* Adds to the tile before what the epilogue reads, at its row and column, to make the value. */
void ahead_ask_epilogue(Engine *e, const Expr *value, Index *row, Index *column);
/* The same of what it writes there. */
void ahead_ask_result(Engine *e, Buffer *buffer, const Affine *offset, Index *row, Index *column);
/* Of what the epilogue's innermost loop reads and writes, and the tile does not ask for: has the loop itself ask for its
 * next row. */
void ahead_ask_next_row(Engine *e, LoopList *into, Index *row, Index *column);

/* So many elements that lie one after another from `begin`, each of `parts` tiles its part of them. */
void ahead_ask_region(Engine *e, Loop *tile, Buffer *b, const Affine *begin, int64_t elements,
                      int64_t parts, const Affine *part);

/* Is b in the list? From now on it is. */
bool ahead_is_asked(Engine *e, BufferList *asked, Buffer *b);

/* ---- ahead_window.c ------------------------------------------------------------------------------------ */

/* The same as ahead_ask, of a tile that reads windows in place. */
void ahead_ask_windows(Engine *e, Loop *tile, const Affine *row, const Affine *column);

/* ---- ahead_chain.c ------------------------------------------------------------------------------------- */

/* Of the last products of a chain: adds what its first kernels read of the next group. */
void ahead_ask_group(Engine *e, Loop *tile, const Affine *row, const Affine *column);

/* ---- epilogue.c --------------------------------------------------------------------------------------- */

/* What the kernel makes of its sum, over the block's columns and `length` rows from `begin`; the tiles'
 * buffer begins with the row `origin`. */
void epilogue_emit(Engine *e, LoopList *into, const Affine *begin, int64_t length,
                   const Affine *origin);

#endif
