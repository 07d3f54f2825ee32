/* What the two halves of a table share: columns.c gives columns to ports, table.c reads values. */
#ifndef GRADRT_TABLE_H
#define GRADRT_TABLE_H

#include "data.h"

typedef struct Table {
    Dataset *set;
    const Request *request;
    Csv *csv;
    const char *path;
    bool header;
    int *owner;  /* of each column: port, or one of those below */
    int **taken; /* for each port its columns, in order */
    int *counts;
    bool fills, fills_mean;
    double fill;
    Error *error;
} Table;

static inline const Cell *cell_at(const Table *t, size_t row, int column)
{
    return &t->csv->cells[row * t->csv->columns + (size_t)column];
}

/* For messages, and as the key of a column's fill; to be freed. */
char *column_label(const Table *t, int column);
/* Fills owner, taken and counts. */
bool columns_place(Table *t);

#endif
