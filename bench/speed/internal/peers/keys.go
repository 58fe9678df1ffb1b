package peers

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"strings"
)

// Key returns the id of session i: as long and as random as a uuid.
func Key(i int) string {
	r := rand.NewPCG(uint64(i), 0)
	var id [16]byte
	binary.LittleEndian.PutUint64(id[:8], r.Uint64())
	binary.LittleEndian.PutUint64(id[8:], r.Uint64())
	s := hex.EncodeToString(id[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// Keys returns the ids of the first n sessions.
func Keys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = Key(i)
	}
	return keys
}

// Uniform returns the ids of n sessions in random order, each as often as any other,
// give or take one.
//
// They lie in memory one behind the other, so that one who walks along them
// waits for none: an id that has just come in with a request is at hand too.
func Uniform(n int) []string {
	order := make([]uint32, max(n, 1<<17))
	for i := range order {
		order[i] = uint32(i % n)
	}
	r := rand.New(rand.NewPCG(1, 2))
	r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	return inOrder(order)
}

// Zipf returns ids like Uniform, but few sessions often and most of them
// seldom: the k-th as often as 1/k^1.1, the k-th being any one.
func Zipf(n int) []string {
	order := make([]uint32, 1<<20)
	r := rand.New(rand.NewPCG(3, 4))
	z, places := rand.NewZipf(r, 1.1, 1, uint64(n-1)), r.Perm(n)
	for i := range order {
		order[i] = uint32(places[z.Uint64()])
	}
	return inOrder(order)
}

// inOrder returns the ids of sessions, as slices of one string.
func inOrder(order []uint32) []string {
	var all strings.Builder
	all.Grow(36 * len(order))
	for _, i := range order {
		all.WriteString(Key(int(i)))
	}
	keys := make([]string, len(order))
	for i := range keys {
		keys[i] = all.String()[36*i : 36*(i+1)]
	}
	return keys
}

// A Walk walks along ids, over and over. It is for one goroutine.
type Walk struct {
	keys []string
	at   int
	_    [96]byte // what another processor writes to is in another cache line
}

// NewWalk returns a Walk that starts somewhere else for each of two threads.
func NewWalk(keys []string, thread int) *Walk { return &Walk{keys: keys, at: thread * len(keys) / 2} }

// Next returns the next ids, n of them or less.
func (w *Walk) Next(n int) []string {
	if w.at == len(w.keys) {
		w.at = 0
	}
	some := w.keys[w.at:min(w.at+n, len(w.keys))]
	w.at += len(some)
	return some
}
