/* A metric that is a table, on a terminal: a grid where it fits; else, of a square one, the largest of
 * each row; else as many columns as fit.  What is left out is said. */
#include "internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { MOST_ROWS = 200, LABEL = 20, HEAD = 12, CELL = 48, OTHERS = 3 };

typedef struct Table {
    const char *name;
    const double *at; /* row by row */
    int64_t rows, columns;
    const Names *row_names, *column_names; /* of classes, or NULL */
    bool whole;                            /* whole numbers only  */
    int width;                             /* of the terminal     */
    int label, cell;                       /* columns that the labels and the numbers take */
} Table;

static int terminal_width(void)
{
    struct winsize size;
    if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
        return size.ws_col;
    return 80;
}

/* Code points of UTF-8 text. */
static int text_length(const char *text)
{
    int count = 0;
    for (; *text; text++)
        count += (*text & 0xC0) != 0x80;
    return count;
}

/* At most `most` code points, then an ellipsis in the last one's place; `width` columns, to the right
 * or to the left. */
static void put_text(const char *text, int most, int width, bool right)
{
    const bool cut = text_length(text) > most;
    const int shown = cut ? most : text_length(text);
    printf("%*s", right && width > shown ? width - shown : 0, "");
    for (int i = 0; *text && i < shown - cut; i++)
        do
            putchar(*text++);
        while ((*text & 0xC0) == 0x80);
    fputs(cut ? "…" : "", stdout);
    printf("%*s", !right && width > shown ? width - shown : 0, "");
}

static const char *label_of(const Names *names, int64_t i, char number[CELL])
{
    if (names)
        return names->items[i];
    snprintf(number, CELL, "%lld", (long long)i);
    return number;
}

static const char *number_text(const Table *t, double v, char buffer[CELL])
{
    const bool far = v != 0 && (fabs(v) < 1e-3 || fabs(v) >= 1e6);
    snprintf(buffer, CELL, t->whole ? "%.0f" : far ? "%.3e" : "%.4f", v);
    return buffer;
}

static void measure_labels(Table *t)
{
    char buffer[CELL];
    for (int64_t i = 0; i < t->rows; i++) {
        const int length = text_length(label_of(t->row_names, i, buffer));
        t->label = length > t->label ? length : t->label;
    }
    t->label = t->label > LABEL ? LABEL : t->label;
    for (int64_t i = 0; i < t->rows * t->columns; i++) {
        const int length = (int)strlen(number_text(t, t->at[i], buffer));
        t->cell = length > t->cell ? length : t->cell;
    }
}

/* Columns that their heads take, by name or by number. */
static int head_width(const Table *t, const Names *names)
{
    char buffer[CELL];
    int most = t->cell;
    for (int64_t i = 0; i < t->columns; i++) {
        int length = text_length(label_of(names, i, buffer));
        length = length > HEAD ? HEAD : length;
        most = length > most ? length : most;
    }
    return most;
}

static bool fits(const Table *t, int width)
{
    return t->label + t->columns * (width + 2) <= t->width;
}

static void put_rows_left(const Table *t, const char *name)
{
    if (t->rows > MOST_ROWS)
        printf("… and %lld more rows: evaluate --json has all of %s\n",
               (long long)(t->rows - MOST_ROWS), name);
}

/* Heads by number stand beside rows that have both. */
static void put_grid(const Table *t, const Names *heads, int width, int64_t columns)
{
    char buffer[CELL];
    const int numbers =
        !heads && t->row_names ? snprintf(buffer, CELL, "%lld", (long long)t->rows) : 0;
    printf("%*s", t->label + (numbers ? numbers + 1 : 0), "");
    for (int64_t k = 0; k < columns; k++) {
        fputs("  ", stdout);
        put_text(label_of(heads, k, buffer), HEAD, width, true);
    }
    putchar('\n');
    for (int64_t i = 0; i < t->rows && i < MOST_ROWS; i++) {
        if (numbers)
            printf("%*lld ", numbers, (long long)i);
        put_text(label_of(t->row_names, i, buffer), LABEL, t->label, false);
        for (int64_t k = 0; k < columns; k++)
            printf("  %*s", width, number_text(t, t->at[i * t->columns + k], buffer));
        putchar('\n');
    }
}

static int largest_other(const double *row, int64_t count, const bool *taken)
{
    int best = -1;
    for (int k = 0; k < count; k++)
        if (!taken[k] && row[k] != 0 && (best < 0 || row[k] > row[best]))
            best = k;
    return best;
}

/* flute    92 of 100   oboe 5, clarinet 2 */
static void put_row_summary(const Table *t, int64_t i, bool *taken)
{
    char buffer[CELL], place[CELL];
    const double *row = t->at + i * t->columns;
    double sum = 0;
    for (int64_t k = 0; k < t->columns; k++)
        sum += row[k];
    memset(taken, 0, (size_t)t->columns * sizeof *taken);
    taken[i] = true;
    put_text(label_of(t->row_names, i, buffer), LABEL, t->label, false);
    printf("  %*s", t->cell, number_text(t, row[i], buffer));
    const int length = printf(" of %s", number_text(t, sum, buffer));
    const int apart = t->cell + 6 - length; /* from the others */
    int used = t->label + 2 * t->cell + 6;
    for (int n = 0, k; n < OTHERS && (k = largest_other(row, t->columns, taken)) >= 0; n++) {
        const char *name = label_of(t->row_names, k, place);
        const char *number = number_text(t, row[k], buffer);
        const int shown = text_length(name) < LABEL ? text_length(name) : LABEL;
        used += shown + (int)strlen(number) + 3;
        if (used > t->width)
            break;
        printf("%*s", n ? 2 : apart, n ? ", " : "");
        put_text(name, LABEL, shown, false);
        printf(" %s", number);
        taken[k] = true;
    }
    putchar('\n');
}

static void put_summary(const Table *t)
{
    bool *taken = memory_get((size_t)t->columns, sizeof *taken);
    printf("of each row the diagonal, the sum, and the largest others (evaluate --json has all)\n");
    for (int64_t i = 0; i < t->rows && i < MOST_ROWS; i++)
        put_row_summary(t, i, taken);
    free(taken);
}

static void put_table(Table *t)
{
    measure_labels(t);
    const int named = head_width(t, t->column_names), numbered = head_width(t, NULL);
    if (fits(t, named)) {
        put_grid(t, t->column_names, named, t->columns);
    } else if (fits(t, numbered + (t->row_names != NULL))) {
        put_grid(t, NULL, numbered, t->columns);
    } else if (t->rows == t->columns) {
        put_summary(t);
    } else {
        const int64_t columns = (t->width - t->label) / (numbered + 2);
        put_grid(t, NULL, numbered, columns);
        printf("… and %lld more columns: evaluate --json has all of %s\n",
               (long long)(t->columns - columns), t->name);
    }
    put_rows_left(t, t->name);
}

/* class  number */
static void put_list(Table *t)
{
    char buffer[CELL];
    measure_labels(t);
    for (int64_t i = 0; i < t->rows && i < MOST_ROWS; i++) {
        put_text(label_of(t->row_names, i, buffer), LABEL, t->label, false);
        printf("  %*s\n", t->cell, number_text(t, t->at[i], buffer));
    }
    put_rows_left(t, t->name);
}

void table_print(const gradc_model *m, const Encoding *c, const Value *v)
{
    char text[SHAPE_TEXT];
    const gradc_metric *of = v->table;
    Table t = {.name = v->name, .at = v->elements, .whole = true, .width = terminal_width()};
    t.rows = of->shape[0];
    t.columns = of->rank > 1 ? of->shape[1] : 1;
    t.row_names = encoding_classes(m, c, t.rows);
    t.column_names = of->rank > 1 ? encoding_classes(m, c, t.columns) : NULL;
    for (uint64_t i = 0; i < of->count; i++)
        t.whole = t.whole && floor(v->elements[i]) == v->elements[i] && fabs(v->elements[i]) < 1e15;
    printf("\n%s\n", v->name);
    if (of->rank == 1)
        put_list(&t);
    else if (of->rank == 2)
        put_table(&t);
    else
        printf("a table %s: evaluate --json shows it\n", shape_write(text, of->rank, of->shape));
}
