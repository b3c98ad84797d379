/* SPDX-License-Identifier: MIT */
/*
 * Loads the library given as its argument while a thread is already running,
 * and uses it from that thread.
 */
#define SAMARA_NO_LINUX_NAMES
#include <samara/maple_tree.h>

#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>

static sem_t loaded;
static void *library;

static void *user(void *arg)
{
	struct maple_tree tree;
	int (*store)(struct maple_tree *, unsigned long, void *, gfp_t);
	void *(*load)(struct maple_tree *, unsigned long);
	void (*destroy)(struct maple_tree *);

	sem_wait(&loaded);
	if (!library)
		return "not loaded";
	*(void **)&store = dlsym(library, "samara_mtree_store");
	*(void **)&load = dlsym(library, "samara_mtree_load");
	*(void **)&destroy = dlsym(library, "samara_mtree_destroy");
	if (!store || !load || !destroy)
		return "a symbol is missing";

	samara_mt_init_flags(&tree, 0);
	if (store(&tree, 7, arg, GFP_KERNEL) || load(&tree, 7) != arg)
		return "store or load failed";
	destroy(&tree);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	void *failure;

	if (argc != 2 || sem_init(&loaded, 0, 0) || pthread_create(&thread, NULL, user, &loaded))
		return 2;
	library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	if (!library)
		fprintf(stderr, "%s\n", dlerror());
	sem_post(&loaded);
	pthread_join(thread, &failure);
	if (failure)
		fprintf(stderr, "%s: %s\n", argv[1], (char *)failure);
	return failure ? 1 : 0;
}
