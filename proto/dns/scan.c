#include "proto/dns/scan.h"

struct sp_scan sp_scan_init(const char *text, size_t len) {
    return (struct sp_scan){.text = text, .len = len, .line = 1};
}

sp_err sp_scan_fail(const struct sp_scan_token *token, sp_err err, const char *what, struct sp_zonetext_error *error) {
    *error = (struct sp_zonetext_error){token->line, token->column, what};
    return err;
}

static unsigned column(const struct sp_scan *s) {
    return (unsigned)(s->pos - s->line_start) + 1;
}

static sp_err fail_here(const struct sp_scan *s, const char *what, struct sp_zonetext_error *error) {
    *error = (struct sp_zonetext_error){s->line, column(s), what};
    return SP_ERR_FORM;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

static bool is_control(char c) {
    return ((unsigned char)c < 0x20 && c != '\t' && c != '\r' && c != '\n') || c == 0x7F;
}

static void new_line(struct sp_scan *s) {
    s->pos++;
    s->line++;
    s->line_start = s->pos;
}

static sp_err parenthesis(struct sp_scan *s, struct sp_zonetext_error *error) {
    if (s->text[s->pos] == ')') {
        if (s->depth == 0)
            return fail_here(s, "closing parenthesis without an opening one", error);
        s->depth--;
    } else {
        if (s->depth++ == 0) {
            s->open_line = s->line;
            s->open_column = column(s);
        }
    }
    s->pos++;
    return SP_OK;
}

/* Moves to the next word, quote or significant end of line. */
static sp_err skip_space(struct sp_scan *s, struct sp_zonetext_error *error) {
    while (s->pos < s->len) {
        char c = s->text[s->pos];
        if (is_blank(c)) {
            s->pos++;
        } else if (c == ';') {
            while (s->pos < s->len && s->text[s->pos] != '\n')
                s->pos++;
        } else if (c == '(' || c == ')') {
            SP_TRY(parenthesis(s, error));
        } else if (c == '\n' && s->depth > 0) {
            new_line(s);
        } else {
            break;
        }
    }
    return SP_OK;
}

/* Moves past a closing quote; the opening one has been passed. */
static sp_err skip_quoted(struct sp_scan *s, struct sp_zonetext_error *error) {
    struct sp_scan open = *s;
    open.pos--;
    for (; s->pos < s->len && s->text[s->pos] != '\n'; s->pos++) {
        char c = s->text[s->pos];
        if (is_control(c))
            return fail_here(s, "control character (write it as \\DDD)", error);
        if (c == '"') {
            s->pos++;
            return SP_OK;
        }
        if (c == '\\' && s->pos + 1 < s->len && s->text[s->pos + 1] != '\n')
            s->pos++;
    }
    return fail_here(&open, "quote is not closed on its line", error);
}

static bool ends_word(char c) {
    return is_blank(c) || c == '\n' || c == ';' || c == '(' || c == ')' || c == '"';
}

static sp_err skip_word(struct sp_scan *s, struct sp_zonetext_error *error) {
    size_t start = s->pos;
    for (; s->pos < s->len; s->pos++) {
        char c = s->text[s->pos];
        if (is_control(c))
            return fail_here(s, "control character (write it as \\DDD)", error);
        if (c == '"' && s->params && s->pos > start && s->text[s->pos - 1] == '=') {
            s->pos++;
            return skip_quoted(s, error);
        }
        if (ends_word(c))
            break;
        if (c == '\\' && s->pos + 1 < s->len && s->text[s->pos + 1] != '\n')
            s->pos++;
    }
    return SP_OK;
}

sp_err sp_scan_next(struct sp_scan *s, struct sp_scan_token *ret, struct sp_zonetext_error *error) {
    SP_TRY(skip_space(s, error));
    *ret = (struct sp_scan_token){.text = s->text + s->pos, .line = s->line, .column = column(s)};
    if (s->pos == s->len) {
        ret->kind = SP_SCAN_END;
        if (s->depth == 0)
            return SP_OK;
        *error = (struct sp_zonetext_error){s->open_line, s->open_column, "parenthesis is not closed"};
        return SP_ERR_FORM;
    }
    char c = s->text[s->pos];
    if (c == '\n') {
        ret->kind = SP_SCAN_EOL;
        new_line(s);
        return SP_OK;
    }
    ret->kind = SP_SCAN_WORD;
    size_t start = s->pos;
    if (c != '"') {
        SP_TRY(skip_word(s, error));
        ret->len = s->pos - start;
        return SP_OK;
    }
    s->pos++;
    SP_TRY(skip_quoted(s, error));
    ret->quoted = true;
    ret->text++;
    ret->len = s->pos - start - 2;
    return SP_OK;
}
