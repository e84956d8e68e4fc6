/* The set as it will be after the switch, for `validate`: made of copies by applying the generation to them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/statefile.h"
#include "syncd/replica_inside.h"

/* The roots below the view's directory, each under its whole name. */
static char **name_roots(const struct replica *r, const char *directory)
{
    char **roots = calloc(r->options.root_count + 1, sizeof *roots);

    for (size_t i = 0; roots && i < r->options.root_count; i++)
        if (asprintf(&roots[i], "%s%s", directory, r->options.roots[i]) < 0)
            roots[i] = NULL;
    return roots;
}

static void free_roots(char **roots, size_t count)
{
    for (size_t i = 0; roots && i < count; i++)
        free(roots[i]);
    free(roots);
}

static int open_parent(const char *path, bool make, const char **name)
{
    char parent[PATH_MAX];

    text_copy(parent, sizeof parent, path);
    char *slash = strrchr(parent, '/');
    *name = path + (slash - parent) + 1;
    *slash = '\0';
    const int made = make ? make_directories(parent, 0700) : 0;
    if (made < 0)
        return made;
    const int fd = open(parent[0] ? parent : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int copy_root(const char *from, const char *to)
{
    const char *name, *to_name;
    struct look look;
    AUTO_CLOSE int source = open_parent(from, false, &name);
    AUTO_CLOSE int target = open_parent(to, true, &to_name);

    if (target < 0)
        return target;
    if (source < 0 || look_at(source, name, &look) < 0)
        return 0; /* it is not there yet */
    return entry_copy(source, name, target, to_name);
}

static void view_close(struct replica *view)
{
    patch_drop(view);
    paths_clear(&view->touched);
    for (size_t i = 0; view->areas && i < view->options.root_count; i++)
        area_close(&view->areas[i]);
    free(view->areas);
    beneath_free(view->beneath);
    tree_free(view->options.tree);
    buffer_free(&view->walker.buffer);
}

/* Another replica of the same generation, whose roots are the copies. */
static int view_open(struct replica *view, struct replica *r, char **roots)
{
    int done;

    *view = (struct replica){.options = r->options,
                             .state = r->state,
                             .journal = r->journal,
                             .current = r->current,
                             .redo = true, /* nothing is kept aside, and what does not fit is no error */
                             .view_of = r,
                             .lock = -1,
                             .history = -1,
                             .undo = -1,
                             .walker = {.records = r->walker.records, .count = r->walker.count}};
    view->incoming.fd = view->patching.fd = -1;
    view->options.roots = (const char *const *)roots;
    view->options.tree = NULL;
    view->areas = calloc(r->options.root_count, sizeof *view->areas);
    if (!view->areas)
        return -ENOMEM;
    for (size_t i = 0; i < r->options.root_count; i++)
        for (size_t k = 0; k < AREA_KINDS; k++)
            view->areas[i].directories[k] = -1;
    done = tree_new(r->options.hasher, &view->options.tree);
    if (done == 0)
        done = beneath_new((const char *const *)roots, r->options.root_count, &view->beneath);
    return done;
}

int replica_stage_view(struct replica *r, const char *directory)
{
    struct replica view;
    char **roots = name_roots(r, directory);
    int done = r->phase == REPLICA_DURABLE && roots ? make_directories(directory, 0700) : -EINVAL;

    for (size_t i = 0; done == 0 && i < r->options.root_count; i++)
        done = roots[i] ? copy_root(r->options.roots[i], roots[i]) : -ENOMEM;
    if (done == 0) {
        done = view_open(&view, r, roots);
        while (done == 0 && (done = replica_apply_all(&view)) == 1)
            done = 0;
        if (done < 0)
            text_copy(r->error, sizeof r->error, view.error);
        view_close(&view);
    }
    free_roots(roots, r->options.root_count);
    return done;
}
