/* book/match_heap.h - skew heaps in the terms of orders (Sleator and Tarjan 1986, "Self-adjusting heaps"): least key first,
 * equal keys by entry. Any two can be merged and any node taken out, O(log n) on the average of many; no memory of their
 * own. A heap is the slot of its root, 0 when it is empty; the root's `up` is 0.
 */
#ifndef KT_BOOK_MATCH_HEAP_H
#define KT_BOOK_MATCH_HEAP_H

#include "book/match_parts.h"

static inline kt_match_node *kt_heap_node(kt_match *m, kt_match_heap heap, uint32_t slot)
{
    return &m->terms[slot].nodes[heap];
}

static inline bool kt_heap_before(kt_match *m, kt_match_heap heap, uint32_t a, uint32_t b)
{
    int64_t key_a = kt_heap_node(m, heap, a)->key, key_b = kt_heap_node(m, heap, b)->key;

    return key_a != key_b ? key_a < key_b : m->terms[a].entry < m->terms[b].entry;
}

/* Walk down the right sides of both, and exchange the children of all that is passed: that keeps them short. */
static inline uint32_t kt_heap_merge(kt_match *m, kt_match_heap heap, uint32_t a, uint32_t b)
{
    uint32_t root = 0, up = 0, *link = &root;

    while (a != 0 && b != 0) {
        kt_match_node *node;
        uint32_t right;

        if (kt_heap_before(m, heap, b, a)) {
            right = a;
            a = b;
            b = right;
        }
        node = kt_heap_node(m, heap, a);
        right = node->right;
        node->right = node->left;
        node->up = up;
        *link = up = a;
        link = &node->left;
        a = right;
    }
    *link = a != 0 ? a : b;
    if (*link != 0)
        kt_heap_node(m, heap, *link)->up = up;
    return root;
}

static inline void kt_heap_push(kt_match *m, kt_match_heap heap, uint32_t *root, uint32_t slot, int64_t key)
{
    *kt_heap_node(m, heap, slot) = (kt_match_node){ .key = key };
    *root = kt_heap_merge(m, heap, *root, slot);
}

static inline void kt_heap_take(kt_match *m, kt_match_heap heap, uint32_t *root, uint32_t slot)
{
    kt_match_node *node = kt_heap_node(m, heap, slot);
    uint32_t rest = kt_heap_merge(m, heap, node->left, node->right);

    if (rest != 0)
        kt_heap_node(m, heap, rest)->up = node->up;
    if (node->up == 0)
        *root = rest;
    else if (kt_heap_node(m, heap, node->up)->left == slot)
        kt_heap_node(m, heap, node->up)->left = rest;
    else
        kt_heap_node(m, heap, node->up)->right = rest;
}

#endif
