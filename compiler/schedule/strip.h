/* Strips: some rows of a matrix at a time.  What strip.c and strip_split.c share. */
#ifndef GRADC_SCHEDULE_STRIP_H
#define GRADC_SCHEDULE_STRIP_H

#include "schedule/internal.h"

/* A node whose loop over rows is taken apart. */
typedef struct StripMember {
    Node *node;
    Index *row;  /* of its domain, or of what it sums over */
    bool is_sum; /* the latter                             */
    Index *strip, *within;
    Node *view; /* of the shape that it had, for those outside; NULL: none yet */
} StripMember;

typedef struct Strips {
    Graph *graph;
    double most_bytes;        /* of a matrix, or of a strip of one                               */
    int outer;                /* so many dimensions stand in front of the rows                   */
    int64_t length;           /* rows of a strip                                                 */
    VEC(StripMember) members; /* in the graph's order, but for the first: a matrix        */
    bool *taken, *results;    /* per node id: of strips already; a result of the graph's  */
    StripList all;
} Strips;

StripMember *strip_member(const Strips *x, const Node *n);

/* Are strips of it in scratch of use?  Else it is small. */
bool strip_is_matrix(const Strips *x, const Node *n);
void strip_add_member(Strips *x, Node *n, Index *row);

/* ---- strip_again.c ------------------------------------------------------------------------------------ */

/* Has the backward pass compute again what it would read of the forward pass's matrices, where that is cheap:
 * more members. */
void strip_compute_again(Strips *x);

/* ---- strip_split.c ------------------------------------------------------------------------------------ */

/* Takes the members' rows apart, and gives those outside views of what they read. */
void strip_split(Strips *x);

#endif
