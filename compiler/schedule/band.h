/* Bands: some rows of an example at a time.  What band.c and band_split.c share. */
#ifndef GRADC_SCHEDULE_BAND_H
#define GRADC_SCHEDULE_BAND_H

#include "schedule/internal.h"

/* A node of which the band's nodes read a window of rows: row r of the band reads rows scale * r + low …
 * of it, and likewise low[d] … high[d] along other dimensions. */
typedef struct Window {
    Node *node;
    int64_t scale;
    int64_t *low,
        *high;  /* per dimension, over all that is read; of dimension 1: beside scale * row */
    Node *band; /* its rows that one band reads, zero where there are none */
} Window;

/* A node whose loop over rows is taken apart. */
typedef struct Member {
    Node *node;
    Index *row;   /* of its domain, or of what it sums over …           */
    bool is_sum;  /* … and then others sum over the bands,              */
    bool is_kept; /* or the bands of an example add to it one by one    */
    int64_t step; /* so many rows each of the index's values stands for */
    Index *band, *within;
    Node *view; /* of the shape that it had, for those outside; NULL: none yet */
} Member;

typedef struct Band {
    bool whole;             /* examples as they are: nothing is taken apart */
    bool products;          /* its readers are products of matrices         */
    int64_t extent, length; /* rows of an example and of a band             */
    VEC(Member) members;    /* in the graph's order             */
    VEC(Window) windows;
} Band;

Member *band_member(const Band *b, const Node *n);
Window *band_window(const Band *b, const Node *n);
/* Does the access read a window of rows around n's `row`?  Of other dimensions anything affine. */
bool band_reads(const Node *n, const Expr *access, const Index *row, int64_t *scale);

/* Splits the members' rows; the nodes that hold the windows are made.  What had stood between the members
 * is to be in front of them: list it first. */
void band_split(Graph *g, Band *b, NodeList *order);
/* Of a sum over rows: do all that read it just sum it up? */
bool band_is_part(Graph *g, const Node *n);

#endif
