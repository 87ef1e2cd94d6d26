// Preloaded into Kamailio so that its xmpp module can be measured at all.
//
// QUIRK(Debian 12, kamailio-xmpp-modules 5.6.3): the module walks the attributes of an element until one is an empty
// string, but expat ends that list with a null pointer, so the first element of a stream is a segmentation fault.
// This stands between the two: it ends the list in both ways. It costs one small copy an element.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

// As in expat.h, which need not be installed for this.
typedef void (*start_handler)(void *data, const char *name, const char **attributes);
typedef void (*end_handler)(void *data, const char *name);
typedef void (*setter)(void *parser, start_handler, end_handler);

#define MOST 128

static start_handler kamailio_start;

static void started(void *data, const char *name, const char **attributes) {
    const char *ended[MOST + 2];
    size_t count = 0;
    while (count < MOST && attributes[count]) ended[count] = attributes[count], count++;
    ended[count] = "";
    ended[count + 1] = NULL;
    kamailio_start(data, name, ended);
}

void XML_SetElementHandler(void *parser, start_handler start, end_handler end) {
    // Not RTLD_NEXT: expat came with the module, in a scope of its own.
    setter real = (setter)dlsym(dlopen("libexpat.so.1", RTLD_NOW), "XML_SetElementHandler");
    kamailio_start = start;
    real(parser, started, end);
}
