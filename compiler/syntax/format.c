#include "syntax/syntax.h"
void ast_format(Text *out, const Ast *tree, const Source *src) { (void)out; (void)tree; (void)src; }
void ast_format_expr(Text *out, const Ast *expr) { (void)out; (void)expr; }
