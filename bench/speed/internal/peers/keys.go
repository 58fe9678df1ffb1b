package peers

import (
	"math/bits"
	"math/rand/v2"
	"strings"
)

// Key returns the id of session i: as long and as random as a uuid.
func Key(i int) string {
	const digits = "0123456789abcdef"
	var b [36]byte
	hi, lo := Mix(2*uint64(i)+1), Mix(2*uint64(i)+2)
	for at := range b {
		switch at {
		case 8, 13, 18, 23:
			b[at] = '-'
			continue
		}
		b[at] = digits[hi&15]
		hi = hi>>4 | lo<<60
		lo >>= 4
	}
	return string(b[:])
}

// Keys returns the ids of the first n sessions.
func Keys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = Key(i)
	}
	return keys
}

// Mix is the finaliser of SplitMix64: one to one, and every bit of x counts.
func Mix(x uint64) uint64 {
	x *= 0x9e3779b97f4a7c15
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
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
	z := rand.NewZipf(rand.New(rand.NewPCG(3, 4)), 1.1, 1, uint64(n-1))
	for i := range order {
		place, _ := bits.Mul64(Mix(z.Uint64()), uint64(n))
		order[i] = uint32(place)
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
