/* What epilogue.c and row_sum.c share.  Private to them. */
#ifndef GRADC_LOWER_EPILOGUE_H
#define GRADC_LOWER_EPILOGUE_H

#include "lower/tile.h"

typedef struct EpilogueItem {
    Node *node;
    const Expr *value;
    const Affine *offset;
    int local;
    bool stored;
    int pass; /* of a sum over rows: which of the passes over them */
} EpilogueItem;

typedef struct Epilogue {
    Engine *e;
    Index *row, *column;
    const Affine *begin;  /* the first row                               */
    int64_t length;       /* how many there are                          */
    const Affine *origin; /* the row with which the tiles' buffer begins */
    Binding block;
    int sum; /* the register that holds the tile's element; those from it on are the loops' own */
    EpilogueItem *items;
    int count, made; /* all of them, and those so far */
    bool along_rows; /* the lanes                     */
} Epilogue;

/* ---- epilogue.c --------------------------------------------------------------------------------------- */

/* The tile's element at the row and the column. */
const Expr *epilogue_load(Epilogue *x, LoopList *into);

/* ---- row_sum.c ---------------------------------------------------------------------------------------- */

EpilogueItem row_sum_item(Epilogue *x, Node *n);
/* The loops of an epilogue that has sums over all of its rows. */
void row_sum_emit(Epilogue *x, LoopList *into);

#endif
