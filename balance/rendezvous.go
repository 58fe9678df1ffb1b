package balance

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/cespare/xxhash/v2"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// Rendezvous returns a picker that takes the same target for the same key, in
// every process and after every restart, without storing anything. Use it where
// several gateways that share no bindings should place a session on the same
// target.
//
// Every pair of key and target ID has a score, and the candidate with the highest
// one is taken. It follows that
//   - the order of the candidates does not matter;
//   - if a target leaves the candidates, its keys spread evenly over the others,
//     and no other key moves; when it is back, so are its keys;
//   - if a target joins n others, it takes over one key in n+1, and no other key
//     moves;
//   - every target has about as many keys as any other, but not necessarily as much
//     work: see [LeastCost].
//
// If the key is empty, or the request is nil, any candidate is taken, at random. Fields
// that make up a key need something between them that none of them can contain, or
// "a"+"bc" and "ab"+"c" are the same key.
//
// As the fallback of a Selector, Rendezvous places a session on the same target in all
// processes, and after a restart, which no binding outlives. There are exceptions:
//   - A session whose target has failed stays where it went, in the processes that saw the
//     failure, until its binding ends. With affinity.FailoverReturn it is back within
//     minutes.
//   - A session with a binding does not move to a target that joins, but does so in a
//     process that started later. Then the processes send it to two targets for as long as
//     it lives. When targets have been added, clear the Cache of each process
//     (affinity.Cache.Clear), and all agree again.
//   - A request that names nothing but state, such as a previous_response_id, finds it
//     only in the process that has learned where it is.
//
// IDs must be unique and stable. The cost of a pick grows with the number of
// candidates and the length of their IDs, each of which is hashed.
//
// The score is fixed and will not change between releases: with XXH64, seed 0, it
// is the hash of the 16 bytes that are the hash of the key followed by the hash of
// the ID, both little endian; the lower ID wins a tie. It is not secret: whoever
// can choose the key can choose the target. If that is a concern, let key return a
// keyed digest, such as an HMAC.
//
// Rendezvous panics if id or key is nil.
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

		// Hashes of fixed width stand for the texts themselves, so that none can
		// reach over into its neighbour.
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
