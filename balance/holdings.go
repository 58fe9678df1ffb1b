package balance

import (
	"math/bits"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/go-affinity/affinity/extract"
)

// holdings is an index of which targets hold which prompts. A prompt is a path of
// boundaries, and an entry says that a target was sent a prompt up to one of them,
// and when. Boundaries and targets are known by their hashes alone. When there are
// more entries than the capacity, those that went unused for longest are
// forgotten.
//
// Entries have numbers, from 1 on; 0 is none. An entry takes 56 bytes, and its
// share of the tables of buckets 8 to 16.
//
// The holder of mu may do everything; nobody else may do anything. The methods
// leave locking to their callers, who do more under the same lock.
type holdings struct {
	mu       sync.Mutex
	capacity int
	clock    int64 // the last tick
	secret   [2]uint64
	hashes   []int32    // hash table of entries by boundary; the first entry of each bucket
	pairs    []int32    // the same by boundary and target
	chunks   [][]record // the entries
	used     int        // the number of entries

	// The ends of the list of entries in the order of their last use.
	newest, oldest int32
}

// A record is an entry: a target was sent a prompt up to a boundary.
type record struct {
	hash   uint64 // of the boundary
	target uint64 // hash of the target's ID
	at     int64  // tick of the last sending that may still be there; 0 if none is
	served int64  // tick of the last sending that was served; if none was, minus the tick of the first: see enter
	parent int32  // the entry of the boundary before this one, of the same target

	// Neighbours in the bucket of holdings.hashes, and the next one in the bucket of
	// holdings.pairs. The former is a doubly linked list, since it may be long: all
	// targets may hold the same boundary.
	next, prev, pair int32

	// Neighbours in the order of use. A parent is never older than the entries
	// below it, so it is never forgotten before them.
	newer, older int32
}

// chunk is how many entries are allocated at a time.
const chunk = 1 << 10

// Bounds of the capacity. The least one has room for the longest prompt that
// Request.Boundaries cuts, twice: see enter.
const (
	minCapacity = 1 << 11
	maxCapacity = 1 << 28
)

// newHoldings returns an empty index. The tables are made by the first entry.
func newHoldings(capacity int) holdings {
	return holdings{capacity: min(max(capacity, minCapacity), maxCapacity), secret: [2]uint64{rand.Uint64(), rand.Uint64()}}
}

// record returns the entry with that number.
func (h *holdings) record(i int32) *record {
	i--
	return &h.chunks[i/chunk][i%chunk]
}

// byHash returns the head of the bucket with all entries of a boundary.
func (h *holdings) byHash(hash uint64) *int32 { return h.bucket(h.hashes, hash, 0) }

// byPair returns the head of the bucket with the entry of a boundary of a target.
func (h *holdings) byPair(hash, target uint64) *int32 { return h.bucket(h.pairs, hash, target) }

// bucket mixes what the entry is found by with the secret, so that no client can foresee which
// prompts share a bucket. (maphash.Comparable would allocate with the tag purego.)
func (h *holdings) bucket(table []int32, hash, target uint64) *int32 {
	hi, lo := bits.Mul64(hash^h.secret[0], target^h.secret[1])
	return &table[(hi^lo)&uint64(len(table)-1)]
}

// tick returns a time for a sending: now or, since no two sendings have the same,
// a little later.
func (h *holdings) tick(now int64) int64 {
	h.clock = max(h.clock+1, now)
	return h.clock
}

// there returns the tick at which the target of r was last sent the prompt up to its boundary,
// which is so many bytes long, or 0 if that is not in its cache. What was not there before is
// there once the target has begun to answer: when it has served a request with it or, if nobody
// says so, after the time that it takes to read some 16,000 tokens a second.
func (r *record) there(bytes int, now int64) int64 {
	if r.served < 0 && now+r.served < int64(time.Second)+int64(bytes)*int64(time.Second)>>16 {
		return 0
	}
	return r.at
}

// visit calls f for the entry of every target that was sent the prompt up to a boundary. A
// target may hold a longer prompt and not seem to hold this part of it: another one that
// begins alike was sent there later, and failed.
// If there are more than so many entries to look at, visit gives up and reports false.
func (h *holdings) visit(hash uint64, most int, f func(r *record)) (all bool) {
	if h.used == 0 {
		return true
	}
	for i := *h.byHash(hash); i != 0; most-- {
		if most <= 0 {
			return false
		}
		r := h.record(i)
		if r.hash == hash && r.at != 0 {
			f(r)
		}
		i = r.next
	}
	return true
}

// enter notes that a prompt was sent to a target at that tick. It calls f for every
// boundary, with the tick at which the target was sent it before; 0 if it does not
// hold it. It returns the entry of the last boundary.
//
// Of a prompt with more boundaries than half the capacity, only the first ones are
// entered: making room for the last must not cost the first.
func (h *holdings) enter(cuts []extract.Boundary, target uint64, tick int64, f func(cut extract.Boundary, at int64)) int32 {
	if h.hashes == nil {
		size := 1 << bits.Len(uint(h.capacity-1))
		h.hashes, h.pairs = make([]int32, size), make([]int32, size)
	}
	var last int32
	for _, cut := range cuts[:min(len(cuts), h.capacity/2)] {
		i := h.find(cut.Hash, target)
		switch {
		case i == 0:
			i = h.add(cut.Hash, target)
		case h.record(i).at == tick:
			continue // the prompt has this boundary twice
		default:
			h.unlink(i)
		}
		r := h.record(i)
		f(cut, r.at)
		if r.at == 0 || pauseKind(tick-r.at) == pauseKinds {
			r.served = -tick // nothing of it is there, as of what is new
		}
		r.at, r.parent = tick, last
		h.link(i, last)
		last = i
	}
	return last
}

// end notes what became of a prompt that was sent to a target at that tick: it was
// served, or it is not there. last is what enter has returned. Entries that were
// sent again since stay as they are.
//
// Some of the entries may have been forgotten, and their numbers be those of other
// entries by now. A parent outlives those below it, so where that has happened,
// entries further up may still be the right ones, but the way to them is lost. Every way
// up ends: a parent was entered later than the entry below it, or with it and before it.
func (h *holdings) end(last int32, target uint64, tick int64, served bool) {
	for i := last; i > 0 && int(i) <= h.used; {
		r := h.record(i)
		switch {
		case r.target != target:
			return // another entry by now
		case tick < -r.served:
			return // likewise, of the same target: it was made later, or nothing was left of it since
		case served:
			r.served = max(r.served, tick)
			r.at = max(r.at, tick) // which is 0 if a later sending has failed already
		case r.at == tick:
			r.at = max(r.served, 0)
		}
		i = r.parent
	}
}

// find returns the entry of a boundary of a target, 0 if there is none.
func (h *holdings) find(hash, target uint64) int32 {
	i := *h.byPair(hash, target)
	for i != 0 {
		r := h.record(i)
		if r.hash == hash && r.target == target {
			break
		}
		i = r.pair
	}
	return i
}

// add makes an entry and puts it into its buckets, but not yet into the order of
// use. If there are as many as the capacity, it takes the place of the oldest.
func (h *holdings) add(hash, target uint64) int32 {
	var i int32
	if h.used < h.capacity {
		if h.used%chunk == 0 {
			h.chunks = append(h.chunks, make([]record, chunk))
		}
		h.used++
		i = int32(h.used)
	} else {
		i = h.oldest
		h.unlink(i)
		h.drop(i)
	}
	first, pair := h.byHash(hash), h.byPair(hash, target)
	*h.record(i) = record{hash: hash, target: target, next: *first, pair: *pair}
	if *first != 0 {
		h.record(*first).prev = i
	}
	*first, *pair = i, i
	return i
}

// drop takes an entry out of its buckets.
func (h *holdings) drop(i int32) {
	r := h.record(i)
	if r.next != 0 {
		h.record(r.next).prev = r.prev
	}
	if r.prev != 0 {
		h.record(r.prev).next = r.next
	} else {
		*h.byHash(r.hash) = r.next
	}
	at := h.byPair(r.hash, r.target)
	for *at != i {
		at = &h.record(*at).pair
	}
	*at = r.pair
}

// link puts an entry into the order of use: right behind another one or, if that is
// 0, as the newest.
func (h *holdings) link(i, behind int32) {
	r := h.record(i)
	older := h.newest
	if behind != 0 {
		older = h.record(behind).older
		h.record(behind).older = i
	} else {
		h.newest = i
	}
	r.newer, r.older = behind, older
	if older != 0 {
		h.record(older).newer = i
	} else {
		h.oldest = i
	}
}

// unlink takes an entry out of the order of use.
func (h *holdings) unlink(i int32) {
	r := h.record(i)
	if r.newer != 0 {
		h.record(r.newer).older = r.older
	} else {
		h.newest = r.older
	}
	if r.older != 0 {
		h.record(r.older).newer = r.newer
	} else {
		h.oldest = r.newer
	}
}
