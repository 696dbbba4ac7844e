/* Replies for people, and for programs. */
#define _GNU_SOURCE
#include "signpostd/ctl/ctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS 16

static void put_indent(FILE *f, unsigned depth) {
    for (unsigned i = 0; i < depth; i++)
        fputs("  ", f);
}

/* A key as words: "trust_root" is "trust root". */
static void put_key(FILE *f, const char *key) {
    for (; *key != 0; key++)
        fputc(*key == '_' ? ' ' : *key, f);
}

/* One line of text: nothing in it may move the cursor or ring the bell. */
static void put_safe(FILE *f, const char *text) {
    for (; *text != 0; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            fprintf(f, "\\x%02x", (unsigned)(unsigned char)*text);
        else
            fputc(*text, f);
}

static void put_scalar(FILE *f, const json_t *v) {
    if (json_is_string(v))
        put_safe(f, json_string_value(v));
    else if (json_is_integer(v))
        fprintf(f, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else if (json_is_boolean(v))
        fputs(json_is_true(v) ? "yes" : "no", f);
}

static bool is_scalar(const json_t *v) {
    return !json_is_object(v) && !json_is_array(v);
}

static size_t width_of(const json_t *v) {
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    if (f == NULL)
        return 0;
    put_scalar(f, v);
    fclose(f);
    free(text);
    return len;
}

static void put_cell(FILE *f, const json_t *v, size_t width, bool last) {
    size_t len = width_of(v);
    bool number = json_is_integer(v);
    if (number)
        fprintf(f, "%*s", (int)(width - len), "");
    put_scalar(f, v);
    if (!last && !number)
        fprintf(f, "%*s", (int)(width - len), "");
    fputs(last ? "\n" : "  ", f);
}

/* A list of flat records as a table; the columns are the keys of all of them, in the order in which they appear. */
static bool put_table(FILE *f, const json_t *list, unsigned depth) {
    const char *keys[COLUMNS];
    size_t width[COLUMNS], n = 0, i;
    json_t *row, *v;
    const char *key;
    json_array_foreach(list, i, row) {
        if (!json_is_object(row))
            return false;
        json_object_foreach(row, key, v) {
            size_t k = 0;
            while (k < n && strcmp(keys[k], key) != 0)
                k++;
            if (!is_scalar(v) || k == COLUMNS)
                return false;
            if (k == n) {
                keys[n] = key;
                width[n++] = strlen(key);
            }
            size_t w = width_of(v);
            width[k] = w > width[k] ? w : width[k];
        }
    }
    put_indent(f, depth);
    for (size_t k = 0; k < n; k++) {
        put_key(f, keys[k]);
        fprintf(f, "%*s", k + 1 < n ? (int)(width[k] - strlen(keys[k]) + 2) : 0, "");
    }
    fputc('\n', f);
    json_array_foreach(list, i, row) {
        put_indent(f, depth);
        for (size_t k = 0; k < n; k++)
            put_cell(f, json_object_get(row, keys[k]), width[k], k + 1 == n);
    }
    return true;
}

static void put_object(FILE *f, const json_t *object, unsigned depth);

static void put_list(FILE *f, const json_t *list, unsigned depth) {
    size_t i;
    json_t *v;
    if (json_array_size(list) > 0 && json_is_object(json_array_get(list, 0)) && put_table(f, list, depth))
        return;
    json_array_foreach(list, i, v) {
        if (is_scalar(v)) {
            put_indent(f, depth);
            put_scalar(f, v);
            fputc('\n', f);
        } else if (json_is_object(v)) {
            put_object(f, v, depth);
        } else {
            put_list(f, v, depth + 1);
        }
    }
}

static void put_object(FILE *f, const json_t *object, unsigned depth) {
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)object, key, v) {
        put_indent(f, depth);
        put_key(f, key);
        if (is_scalar(v)) {
            fputs(": ", f);
            put_scalar(f, v);
            fputc('\n', f);
        } else if (json_is_array(v) && json_array_size(v) == 0) {
            fputs(": none\n", f);
        } else {
            fputs(":\n", f);
            if (json_is_array(v))
                put_list(f, v, depth + 1);
            else
                put_object(f, v, depth + 1);
        }
    }
}

char *ctl_text_from(const json_t *object) {
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    if (f == NULL)
        return NULL;
    /* A reply that is one list needs no heading. */
    json_t *only =
        json_object_size(object) == 1 ? json_object_iter_value(json_object_iter((json_t *)(uintptr_t)object)) : NULL;
    if (json_is_array(only))
        put_list(f, only, 0);
    else
        put_object(f, object, 0);
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

static int flushed(void) {
    if (fflush(stdout) == 0 && !ferror(stdout))
        return CTL_OK;
    spl_say("cannot write to standard output");
    return CTL_FAILED;
}

static int show_json(struct ctl *c, json_t *reply) {
    /* The version rises when a key changes its meaning or goes away, not when one is added. */
    char schema[64];
    snprintf(schema, sizeof schema, "%s/1", c->verb->name);
    for (char *p = schema; *p != 0; p++)
        if (*p == ' ')
            *p = '-';
    json_t *out = json_pack("{s:s}", "schema", schema);
    int status = CTL_FAILED;
    if (out != NULL && json_object_update(out, reply) == 0 && json_dumpf(out, stdout, JSON_INDENT(2)) == 0) {
        putchar('\n');
        status = flushed();
    }
    json_decref(out);
    json_decref(reply);
    return status;
}

int ctl_show(struct ctl *c, json_t *reply) {
    if (c->json)
        return show_json(c, reply);
    char *text = ctl_text_from(reply);
    json_decref(reply);
    if (text == NULL)
        return CTL_FAILED;
    fputs(text, stdout);
    free(text);
    return flushed();
}

int ctl_show_text(struct ctl *c, json_t *reply, const char *key) {
    if (c->json)
        return show_json(c, reply);
    json_t *v = json_object_get(reply, key);
    size_t len = json_string_length(v);
    if (len > 0) {
        fwrite(json_string_value(v), 1, len, stdout);
        if (json_string_value(v)[len - 1] != '\n')
            putchar('\n');
    }
    json_decref(reply);
    return flushed();
}
