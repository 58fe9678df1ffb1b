package extract

import (
	"github.com/cespare/xxhash/v2"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// Agents call tools many times for one question. If a framework sends the last few messages only,
// or sums the others up, the question and all other words of people may be gone from a request,
// and what is left of them may be "Go on". But models give each call an id, and its result has that
// as well. So:
//
//   - If calls come before all words, they are what is left of a longer conversation, or something
//     that was looked up before it began. The first of them is part of the setting. If there are no
//     words, it stands in for them.
//   - A request that ends in results is stored under the last call. A later one that shows this
//     result continues it; that is surer than by any words, so it is looked for first. (A session
//     that is known by its words already is not stored anew with each call, so the first request
//     without these words may have nothing to be found by.)
//
// A request that ends in words is not stored so, since examples of calls may come before them, the
// same in all conversations. For the same reason, no request is looked for by the result that it
// ends in. And an id must look as if no two calls have the same: some servers count calls.

// maxRounds is of how many rounds of calls, the last ones, the results are kept.
const maxRounds = 3

// calls has the results of calls that are needed: each is a Cursor before it, or before a comma among
// its members. They are read only at the end: see idOf. A round is what is called between two
// answers.
type calls struct {
	first jsonscan.Cursor            // the first result, if there are no words before it
	cut   bool                       // there is such a result
	last  [maxRounds]jsonscan.Cursor // the last results of the last rounds
	n     int                        // how many rounds there were
	open  bool                       // the next result belongs to the last round
	atEnd bool                       // since the last result, nobody has written anything
}

// result adds a result of a tool.
func (t *trail) result(c jsonscan.Cursor) {
	k := &t.calls
	if k.n == 0 && t.silent() {
		k.first, k.cut = c, true
	}
	if !k.open {
		k.n++
	}
	k.last[k.n%maxRounds] = c
	k.open, k.atEnd = true, true
}

// begin returns the digest of the call that the messages begin with, or zero.
func (k *calls) begin() sum {
	if !k.cut {
		return sum{}
	}
	return idOf(k.first)
}

// end returns the digest of the last call, if the messages end in its result, and of those that
// ended the rounds before, the last one first, or zero for each that there is not.
func (k *calls) end() (last sum, before [maxRounds]sum) {
	i := 0
	if k.atEnd {
		last = idOf(k.last[k.n%maxRounds])
		i++
	}
	for ; i < min(k.n, maxRounds); i++ {
		before[i] = idOf(k.last[(k.n-i)%maxRounds])
	}
	return last, before
}

// idOf returns the digest of the id of a call, given its result, or zero if there is none or it may be
// that of other calls.
func idOf(c jsonscan.Cursor) sum {
	if c.Past(`{"type":"tool_result","tool_use_id":`) || c.Past(`{"role":"tool","tool_call_id":`) { // mostly
		return randomOf(keyword(&c))
	}
	id, inner := idIn(c)
	if id == nil && inner != nil { // Bedrock's
		id, _ = idIn(jsonscan.New(inner))
	}
	return randomOf(id)
}

// idIn returns the id among the members of a result, and the member that may have it inside.
func idIn(c jsonscan.Cursor) (id, inner []byte) {
	const most = 16 // members
	if c.Kind() == '{' {
		c.Object()
	}
	var room nameRoom
	for range most {
		name, ok := c.Key()
		if !ok {
			break
		}
		switch string(room.read(name)) {
		case "tool_call_id", "tool_use_id", "call_id", "toolUseId":
			return keyword(&c), nil
		case "toolResult":
			inner = c.Skim()
		default:
			c.Skim()
		}
	}
	return nil, inner
}

// randomOf returns the digest of an id, or zero unless it ends in letters and digits that nobody has
// chosen: "toolu_01A09q90qw90lq917835lq9", not "functions.search:12".
func randomOf(id []byte) sum {
	const shortest = 12 // as the end of a UUID
	changes := 0        // how often a letter follows a digit, or the other way round
	var wasDigit bool
	for i := range id {
		c := id[len(id)-1-i]
		digit := '0' <= c && c <= '9'
		if lower := c | ('a' - 'A'); !digit && (lower < 'a' || 'z' < lower) {
			break
		}
		if i > 0 && digit != wasDigit {
			changes++
		}
		if wasDigit = digit; i >= shortest-1 && changes >= 2 {
			return sum{xxhash.Sum64(id), callSalt}
		}
	}
	return sum{}
}
