// What the system under test has used: time on the processor, and memory, of all its processes and threads.
#include "load.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int pids[256], count;

void usage_add_pid(int pid) {
    if (count < 256) pids[count++] = pid;
}

static void read_ticks(int pid, struct usage *out) {
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file) return;
    line[fread(line, 1, sizeof line - 1, file)] = 0;
    fclose(file);
    char *after = strrchr(line, ')');
    unsigned long user = 0, system = 0;
    if (after) sscanf(after + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
    double hz = (double)sysconf(_SC_CLK_TCK);
    out->user_s += user / hz;
    out->system_s += system / hz;
}

// Nanoseconds that the scheduler has counted: finer than the ticks of `stat`.
static void read_run(int pid, struct usage *out) {
    char path[400];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    if (!tasks) return;
    for (struct dirent *entry; (entry = readdir(tasks));) {
        unsigned long long run;
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/%d/task/%.32s/schedstat", pid, entry->d_name);
        FILE *file = fopen(path, "r");
        if (!file) continue;
        if (fscanf(file, "%llu", &run) == 1) out->run_s += run / 1e9;
        fclose(file);
    }
    closedir(tasks);
}

// How often a thread gave up the processor, by itself or not: locks that two threads hand to and fro show here.
static void read_switches(int pid, struct usage *out) {
    char path[400], line[256];
    unsigned long count;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    if (!tasks) return;
    for (struct dirent *entry; (entry = readdir(tasks));) {
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/%d/task/%.32s/status", pid, entry->d_name);
        FILE *file = fopen(path, "r");
        if (!file) continue;
        while (fgets(line, sizeof line, file)) {
            char *at = strstr(line, "voluntary_ctxt_switches:");
            if (at && sscanf(at + 24, "%lu", &count) == 1) out->switches += count;
        }
        fclose(file);
    }
    closedir(tasks);
}

// Pss, so that memory which processes share is counted once.
static void read_memory(int pid, struct usage *out) {
    char path[64], line[256];
    long kb;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
    FILE *file = fopen(path, "r");
    if (!file) return;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "Pss: %ld", &kb) == 1) out->memory_kb += kb;
    fclose(file);
}

void usage_read(struct usage *out, bool with_memory) {
    *out = (struct usage){0};
    for (int i = 0; i < count; i++) {
        read_ticks(pids[i], out);
        read_run(pids[i], out);
        read_switches(pids[i], out);
        if (with_memory) read_memory(pids[i], out);
    }
}
