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
    int port; /* what a list of columns is for */
    Error *error;
} Table;

static inline const Cell *cell_at(const Table *t, size_t row, int column)
{
    return &t->csv->cells[row * t->csv->columns + (size_t)column];
}

typedef bool TableUse(Table *t);

/* Parses a file, reads the options of tables, and lets `use` fill the set. */
bool table_open(Dataset *d, const Request *r, const Bytes *b, const char *path, TableUse *use,
                Error *e);
/* The place-th of the port's columns, `stride` bytes from row to row. */
bool table_fill(Table *t, int port, int place, uint8_t *out, size_t stride);
/* For messages, and as the key of a column's fill; to be freed. */
char *column_label(const Table *t, int column);
/* Fills owner, taken and counts. */
bool columns_place(Table *t);
/* Gives the columns that an option lists to t->port, in that order. */
bool columns_take(Table *t, const char *option);
void column_take(Table *t, int port, int column);

#endif
