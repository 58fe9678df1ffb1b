package balance

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/cespare/xxhash/v2"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// Rendezvous returns a picker that takes the same target for the same key, in
// every process and after every restart, without storing anything. Use it
// where several gateways should place a session alike and share no bindings.
//
// Every pair of key and target ID has a score, and the candidate with the
// highest one is taken. It follows that
//   - the order of the candidates does not matter;
//   - if a target leaves the candidates, its keys spread evenly over the
//     others, and no other key moves; when it is back, so are they;
//   - if a target joins n others, it takes over one key in n+1, and no other
//     key moves;
//   - keys spread evenly over targets, as numbers go; see the package
//     documentation for why that is not even work.
//
// An empty key has no place: any candidate is taken, at random. So it is with
// a nil request, for which the function key is not called. A key made of
// several fields needs something between them that none of them can contain,
// or "a"+"bc" and "ab"+"c" are one.
//
// As the fallback of a Selector it places sessions alike in all processes, and again after
// a restart, which no binding outlives. One that had
// to move stays where it went, in the processes that saw why, until its binding ends;
// affinity.FailoverReturn has it back within minutes.
//
// IDs must be unique and stable. Each is hashed at every pick: the cost grows
// with the number of candidates and the length of their IDs.
//
// The score is fixed and will not change between releases: with XXH64, seed
// 0, it is the hash of the 16 bytes that are the hash of the key followed by
// the hash of the ID, both little endian; the lower ID wins a tie. It is not
// secret: whoever can choose the key can choose the target. If that is a
// concern, let key return a keyed digest, such as an HMAC.
//
// See Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit Rates".
func Rendezvous[T any](id func(target T) string, key func(req *extract.Request) string) affinity.Picker[T] {
	switch {
	case id == nil:
		panic("balance: Rendezvous needs an id function")
	case key == nil:
		panic("balance: Rendezvous needs a key function")
	}
	return policy[T](func(req *extract.Request, candidates []T) int {
		var k string
		if req != nil {
			k = key(req)
		}
		if k == "" {
			return rand.IntN(len(candidates))
		}

		// Hashes of fixed width in place of the texts themselves: no text
		// can reach over into its neighbour.
		var pair [16]byte
		binary.LittleEndian.PutUint64(pair[:8], xxhash.Sum64String(k))

		var pick int
		var pickID string
		var highest uint64
		for i, c := range candidates {
			cID := id(c)
			binary.LittleEndian.PutUint64(pair[8:], xxhash.Sum64String(cID))
			score := xxhash.Sum64(pair[:])
			if score > highest || score == highest && cID < pickID {
				pick, pickID, highest = i, cID, score
			}
		}
		return pick
	})
}
