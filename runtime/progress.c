/* What the user sees while a model trains: on a terminal one line that lives, below finished lines;
 * elsewhere finished lines only. */
#include "internal.h"

#include <math.h>
#include <string.h>
#include <time.h>

#define REDRAW_SECONDS 0.1
#define BAR 16

static double read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double clock_seconds(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

double clock_coarse(void)
{
    return read_clock(CLOCK_MONOTONIC_COARSE);
}

const char *rate_text(char *buffer, size_t size, double rate)
{
    const char *unit = rate >= 1e9 ? "G" : rate >= 1e6 ? "M" : rate >= 1e3 ? "k" : "";
    double scaled = rate >= 1e9   ? rate / 1e9
                    : rate >= 1e6 ? rate / 1e6
                    : rate >= 1e3 ? rate / 1e3
                                  : rate;
    snprintf(buffer, size, "%.*f%s%s", scaled < 99.95 ? 1 : 0, scaled, *unit ? " " : "", unit);
    return buffer;
}

static const char *number_text(char *buffer, size_t size, double v)
{
    if (v != 0 && isfinite(v) && (fabs(v) < 1e-3 || fabs(v) >= 1e5))
        snprintf(buffer, size, "%.3e", v);
    else
        snprintf(buffer, size, "%.4f", v);
    return buffer;
}

static void time_text(char *buffer, size_t size, double seconds)
{
    unsigned long s = seconds > 0 && seconds < 1e9 ? (unsigned long)(seconds + 0.5) : 0;
    if (s >= 3600)
        snprintf(buffer, size, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(buffer, size, "%lu:%02lu", s / 60, s % 60);
}

static int digits(uint64_t n)
{
    int count = 1;
    while (n >= 10) {
        n /= 10;
        count++;
    }
    return count;
}

void progress_clear(Progress *p)
{
    if (p->shown)
        fputs("\r\033[K", p->out);
    p->shown = false;
}

static void print_place(const Progress *p, const Position *at, uint64_t epoch)
{
    uint64_t of = p->epochs ? p->epochs : p->last_step, now = p->epochs ? epoch : at->step;
    fprintf(p->out, "%s %*llu/%llu", p->epochs ? "epoch" : "step", digits(of),
            (unsigned long long)now, (unsigned long long)of);
}

static void print_bar(const Progress *p, double part)
{
    int full = (int)(part * BAR);
    fputs("  [", p->out);
    for (int i = 0; i < BAR; i++)
        fputc(i < full ? '#' : '.', p->out);
    fputc(']', p->out);
}

void progress_tick(Progress *p, const Position *at, double loss)
{
    char rate[32], left[32], number[32];
    if (!p->live)
        return;
    double now = clock_coarse();
    if (now - p->drawn < REDRAW_SECONDS)
        return;
    double spent = now - p->began;
    uint64_t steps = at->step - p->first_step;
    p->drawn = now;
    progress_clear(p);
    print_place(p, at, at->epoch + 1);
    print_bar(p, p->epochs ? (double)at->cursor / (double)p->examples
                           : (double)at->step / (double)p->last_step);
    fprintf(p->out, "  loss %s", number_text(number, sizeof number, loss));
    if (spent > 0 && steps > 0) {
        time_text(left, sizeof left, spent * (double)(p->last_step - at->step) / (double)steps);
        fprintf(p->out, "  %s/s  %s left", rate_text(rate, sizeof rate, (double)p->done / spent),
                left);
    }
    fflush(p->out);
    p->shown = true;
}

/* Ten thousand short epochs need no ten thousand lines. */
static bool is_line_due(const Progress *p, const Position *at)
{
    return !p->epochs || at->step >= p->last_step || at->epoch == 1 || at->epoch % p->every == 0;
}

void progress_line(Progress *p, const Position *at, const Value *values, int count, bool best)
{
    char number[32], rate[32];
    double now = clock_seconds();
    if (p->quiet || !is_line_due(p, at))
        return;
    progress_clear(p);
    print_place(p, at, at->epoch);
    for (int i = 0; i < count; i++)
        if (!values[i].table)
            fprintf(p->out, "  %s%s%s %6s", values[i].group, *values[i].group ? " " : "",
                    values[i].name, number_text(number, sizeof number, values[i].number));
    if (now > p->rate_time)
        fprintf(
            p->out, "  %8s/s",
            rate_text(rate, sizeof rate, (double)(p->done - p->rate_done) / (now - p->rate_time)));
    fprintf(p->out, "%s\n", best ? "  best" : "");
    fflush(p->out);
    p->rate_time = now;
    p->rate_done = p->done;
}
