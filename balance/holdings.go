package balance

import "sync"

// holdings is the index of prompts by what holds them: for each boundary of a
// prompt, the targets that were sent a prompt with that beginning, and when.
// Both are known by their hashes.
//
// It is bounded in the simplest way: what is used goes to the young generation;
// when that has half of the capacity, it becomes the old one, and the old one,
// which went unused for longest, is forgotten.
type holdings struct {
	mu         sync.Mutex
	capacity   int
	clock      int64 // the time of the last sending
	young, old generation
}

type generation struct {
	first   map[uint64]int32 // by hash: the first of its records, from 1
	records []record
	void    map[sending]struct{}
}

// A record takes 32 bytes, and its hash up to 24 in the map.
type record struct {
	sending
	before int64 // when it was used before that; 0 if it was not
	next   int32 // of the same hash; 0 is none
}

// A sending is one prompt that was sent to a target. No two have the same time.
type sending struct {
	target uint64
	at     int64
}

// maxVoid bounds the failures that a generation remembers.
const maxVoid = 1 << 12

// find returns the record of that hash and target, or nil.
func (g *generation) find(hash, target uint64) *record {
	for i := g.first[hash]; i != 0; {
		r := &g.records[i-1]
		if r.target == target {
			return r
		}
		i = r.next
	}
	return nil
}

// enter notes that the prompt up to hash was sent.
func (h *holdings) enter(hash uint64, s sending) {
	r := h.young.find(hash, s.target)
	if r == nil {
		var before int64
		if r := h.old.find(hash, s.target); r != nil {
			before = h.last(r)
		}
		h.add(hash, record{sending: s, before: before})
		return
	}
	r.before, r.at = h.last(r), s.at
}

func (h *holdings) add(hash uint64, r record) {
	if 2*len(h.young.records) >= h.capacity {
		clear(h.old.first)
		h.young, h.old = generation{first: h.old.first, records: h.old.records[:0]}, h.young
	}
	if h.young.first == nil {
		h.young.first = make(map[uint64]int32)
	}
	r.next = h.young.first[hash]
	h.young.records = append(h.young.records, r)
	h.young.first[hash] = int32(len(h.young.records))
}

// cancel takes back that a prompt was sent: the target did not get to read it.
func (h *holdings) cancel(s sending) {
	if h.young.void == nil {
		h.young.void = make(map[sending]struct{})
	}
	if len(h.young.void) < maxVoid {
		h.young.void[s] = struct{}{}
	}
}

// last returns when the prompt of r was used last; 0 is never.
func (h *holdings) last(r *record) int64 {
	if len(h.young.void)+len(h.old.void) > 0 {
		_, young := h.young.void[r.sending]
		_, old := h.old.void[r.sending]
		if young || old {
			return r.before
		}
	}
	return r.at
}

// visit calls f for every target that holds the prompt up to hash, with the
// instant when it was used there last, and reports whether there was any.
func (h *holdings) visit(hash uint64, f func(target uint64, used int64)) bool {
	found := false
	for i := h.young.first[hash]; i != 0; {
		r := &h.young.records[i-1]
		if used := h.last(r); used != 0 {
			f(r.target, used)
			found = true
		}
		i = r.next
	}
	for i := h.old.first[hash]; i != 0; {
		r := &h.old.records[i-1]
		if used := h.last(r); used != 0 && h.young.find(hash, r.target) == nil {
			f(r.target, used)
			found = true
		}
		i = r.next
	}
	return found
}
