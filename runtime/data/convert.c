/* One value into a port's raw type: exact, in range, finite; or the reason why not. */
#include "data.h"

#include <math.h>
#include <string.h>

static const double largest[] = {
    [GRADC_BOOL] = 1,
    [GRADC_U8] = 255,
    [GRADC_U16] = 65535,
    [GRADC_I32] = 2147483647.0,
};

static const char *whole_range(const gradc_port *p, double v, char reason[REASON_TEXT])
{
    double low = p->type == GRADC_I32 ? -2147483648.0 : 0, high = largest[p->type];
    if (v == floor(v) && v >= low && v <= high)
        return NULL;
    if (v == floor(v))
        snprintf(reason, REASON_TEXT, "%.15g is outside %.0f … %.0f, the values of %s", v, low,
                 high, p->name);
    else
        snprintf(reason, REASON_TEXT, "%.15g is not a whole number, as %s needs", v, p->name);
    return reason;
}

static const char *domain_range(const gradc_port *p, double v, char reason[REASON_TEXT])
{
    if (p->domain == GRADC_NUMBER || (v >= 0 && v < (double)p->classes))
        return NULL;
    snprintf(reason, REASON_TEXT, "%.15g is outside 0 … %lld, the %s of %s", v,
             (long long)p->classes - 1, p->domain == GRADC_CLASS ? "classes" : "tokens", p->name);
    return reason;
}

const char *port_put(const gradc_port *p, double v, void *out, char reason[REASON_TEXT])
{
    if (!isfinite(v)) {
        snprintf(reason, REASON_TEXT, "%g is not a finite number", v);
        return reason;
    }
    if (p->type == GRADC_F32 && fabs(v) > 3.4028234663852886e38) {
        snprintf(reason, REASON_TEXT, "%.15g is too large for the f32 of %s", v, p->name);
        return reason;
    }
    const char *why = p->type < GRADC_F32 ? whole_range(p, v, reason) : NULL;
    if (!why)
        why = domain_range(p, v, reason);
    if (!why)
        number_put(p->type, out, v);
    return why;
}

const char *port_check(const gradc_port *p, const void *at, char reason[REASON_TEXT])
{
    char scratch[8];
    return port_put(p, number_get(p->type, at), scratch, reason);
}
