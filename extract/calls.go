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
// ends in. And an id must look as if no two calls have the same: some servers count calls. Others,
// and some clients, make a digest of what is called, which may be the same in many conversations, so
// how the result begins counts as well if the id may be one.

// maxRounds is of how many rounds of calls, the last ones, the results are kept.
const maxRounds = 3

// calls has the results of calls that are needed. A round is what is called between two answers.
type calls struct {
	first result            // the first result, if there are no words before it
	last  [maxRounds]result // the last results of the last rounds
	n     int               // how many rounds there were
	open  bool              // the next result belongs to the last round
	atEnd bool              // since the last result, nobody has written anything
}

// A result is what the messages have of a call. It is read at the end, and only as far as needed.
type result struct {
	members  []byte // the text from its beginning on, or from a comma among its members
	returned []byte // what the tool has returned, if that is before the comma
}

// result adds a result of a tool: see the fields of that name.
func (t *trail) result(members, returned []byte) {
	k, r := &t.calls, result{members, returned}
	if k.n == 0 && t.silent() {
		k.first = r
	}
	if !k.open {
		k.n++
	}
	k.last[k.n%maxRounds] = r
	k.open, k.atEnd = true, true
}

// end returns the digest of the last result, if the messages end in it, and of those that ended the
// rounds before, the last one first, or zero for each that there is not.
func (k *calls) end() (last sum, before [maxRounds]sum) {
	i := 0
	if k.atEnd {
		_, last = k.last[k.n%maxRounds].sums()
		i++
	}
	for ; i < min(k.n, maxRounds); i++ {
		_, before[i] = k.last[(k.n-i)%maxRounds].sums()
	}
	return last, before
}

// sums returns the digest of the id of the call, and that of the result. They are zero if there is
// no id or it may be that of other calls.
func (r *result) sums() (call, all sum) {
	call, all, inner := r.read()
	if call == (sum{}) && inner != nil { // Bedrock's
		call, all, _ = (&result{members: inner}).read()
	}
	return call, all
}

// maxResultMembers is how many members of a result are looked at, and of the text in it.
const maxResultMembers = 16

// read returns the sums, and the member that may have all others inside.
func (r *result) read() (call, all sum, inner []byte) {
	c := jsonscan.New(r.members)
	var id, opening []byte
	var digest bool // the id may be one, and the opening is needed
	switch {
	case c.Past(`{"type":"tool_result","tool_use_id":`), c.Past(`{"type":"function_call_output","call_id":`), c.Past(`{"toolResult":{"toolUseId":`),
		c.Past(`{"role":"tool","tool_call_id":`), c.Past(`{"role": "tool", "tool_call_id":`), c.Past(`,"role":"tool","tool_call_id":`): // mostly
		id = keyword(&c)
		call, digest = randomOf(id)
	default:
		c.Object() // unless the members begin with a comma
	}
	var room nameRoom
	for range maxResultMembers {
		if id != nil && (!digest || opening != nil || r.returned != nil) {
			break
		}
		name, ok := c.Key()
		if !ok {
			break
		}
		switch string(room.read(name)) {
		case "tool_call_id", "tool_use_id", "call_id", "toolUseId":
			id = keyword(&c)
			call, digest = randomOf(id)
		case "content", "output":
			if opening = openingOf(c); id == nil { // else it is the last that is needed
				c.Skim()
			}
		case "toolResult":
			inner = c.Skim()
		default:
			c.Skim()
		}
	}
	if all = call; digest {
		if r.returned != nil {
			opening = openingOf(jsonscan.New(r.returned))
		}
		all = call.add(textSalt, openingSum(opening))
	}
	return call, all, inner
}

// maxOpening is how many bytes of what a tool has returned are looked at. Clients may later cut off
// the end of that, or add to it. It is enough for an eighth of that in plain form: an escape has 6
// bytes, or 12.
const maxOpening = 512

// openingOf returns how what a tool has returned opens, which the Cursor is before: some of a text,
// or any other value and what comes after it.
func openingOf(c jsonscan.Cursor) []byte {
	if c.Kind() == '"' || c.Past(`[{"type":"text","text":`) || c.Past(`[{"text":`) {
		rest := c.Rest()
		return rest[:min(len(rest), maxOpening)]
	}
	return c.Rest()
}

// openingSum returns the digest of how a text begins that a tool has returned, alone or in a list.
func openingSum(opening []byte) (h uint64) {
	c := jsonscan.New(opening)
	if c.Array() {
		c.Element()
	}
	if c.Object() {
		var room nameRoom
		for range maxResultMembers {
			if name, ok := c.Key(); !ok || string(room.read(name)) == "text" {
				break
			}
			c.Skim()
		}
	}
	if c.Kind() != '"' {
		return 0
	}
	text := opening[c.Pos()+1:]
	if raw, ok := c.String(); ok {
		text = raw
	}
	withPlain(text[:min(len(text), maxOpening)], func(text []byte, _ bool) {
		h = xxhash.Sum64(text[:min(len(text), maxOpening/8)])
	})
	return h
}

// randomOf returns the digest of an id, or zero unless it ends in letters and digits that nobody
// has chosen: "toolu_01A09q90qw90lq917835lq9", not "functions.search:12". It also says whether the
// id may be a digest that was made of other things, which are in hexadecimal, or a time, with a T
// and a Z: its end has almost no letters beyond F.
func randomOf(id []byte) (s sum, digest bool) {
	const shortest = 12     // as the end of a UUID
	beyond, changes := 0, 0 // letters beyond F, and how often a letter follows a digit, or the other way round
	var wasDigit bool
	for i := range id {
		c := id[len(id)-1-i]
		digit := '0' <= c && c <= '9'
		lower := c | ('a' - 'A')
		if !digit && (lower < 'a' || 'z' < lower) {
			break
		}
		if i < shortest && lower > 'f' {
			beyond++
		}
		if i > 0 && digit != wasDigit {
			changes++
		}
		if wasDigit = digit; i >= shortest-1 && changes >= 2 {
			return sum{xxhash.Sum64(id), callSalt}, beyond < 3
		}
	}
	return sum{}, false
}
