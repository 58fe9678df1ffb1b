package extract

import (
	"bytes"
	"encoding/binary"

	"github.com/cespare/xxhash/v2"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// A sum is a running digest over a sequence of digests, zero if there are none. It has 128
// bits, so that two conversations do not have the same by chance. It is not keyed: a Selector
// keys what it stores.
type sum [2]uint64

// Each kind of digest has a salt, so that one is never taken for another: a text cannot
// imitate an image, nor the end of a list an element of it. Other values make other digests,
// so a change makes the IDs and Openings of two releases differ.
const (
	textSalt     = iota + 1 // a text
	binarySalt              // content that is not a text, such as an image
	pathSalt                // a directory
	arraySalt               // an element of an array
	objectSalt              // a member of an object
	endSalt                 // the end of a value, and the join of parts of a setting
	injectedSalt            // what a client injected
	placeSalt               // a setting that is known by its directories
	systemSalt              // a setting that is known by its system prompt, with anything injected
	keySalt                 // a key: a setting, and words
	tailSalt                // the last words alone
	framedSalt              // what may be the question in the last text
	historySalt             // questions in a system prompt
	pageSalt                // words before a page
	callSalt                // the id of a call
)

// add returns the digest over s and then h.
func (s sum) add(salt, h uint64) sum {
	var b [24]byte
	binary.LittleEndian.PutUint64(b[0:], s[0])
	binary.LittleEndian.PutUint64(b[8:], salt)
	binary.LittleEndian.PutUint64(b[16:], h)
	lo := xxhash.Sum64(b[:])
	binary.LittleEndian.PutUint64(b[0:], s[1])
	binary.LittleEndian.PutUint64(b[8:], lo)
	return sum{lo, xxhash.Sum64(b[:])}
}

// plus returns the digest over s and o, whatever their order.
func (s sum) plus(o sum) sum { return sum{s[0] + o[0], s[1] + o[1]} }

// join returns the digest over s and then o.
func (s sum) join(salt uint64, o sum) sum {
	var b [32]byte
	binary.LittleEndian.PutUint64(b[0:], s[0])
	binary.LittleEndian.PutUint64(b[8:], salt)
	binary.LittleEndian.PutUint64(b[16:], o[0])
	binary.LittleEndian.PutUint64(b[24:], o[1])
	lo := xxhash.Sum64(b[:])
	binary.LittleEndian.PutUint64(b[0:], s[1])
	binary.LittleEndian.PutUint64(b[8:], lo)
	return sum{lo, xxhash.Sum64(b[:])}
}

// textSum returns the digest of a text, given as written between its quotes. However the
// text is escaped, the digest is the same.
func textSum(raw []byte) (h uint64) {
	withPlain(raw, func(text []byte, _ bool) { h = xxhash.Sum64(text) })
	return h
}

// value reads the next value and returns its digest. Neither the order of members, nor white
// space, nor the way to escape makes a difference, nor do the markers of caches, the
// signatures of addresses and of Gemini, and which of its two spellings a name has. Every
// element and member counts as an item; if there are too many, the digest is of no use, but
// then the request has no trail anyway.
func (t *trail) value(c *jsonscan.Cursor) uint64 {
	switch c.Kind() {
	case '"':
		raw, _ := c.String()
		return t.addressSum(raw)
	case '[':
		var s sum
		for c.Array(); c.Element() && t.more(); {
			s = s.add(arraySalt, t.value(c))
		}
		return s.add(endSalt, 0)[0]
	case '{':
		var members uint64
		var room nameRoom
		c.Object()
		for t.more() {
			raw, ok := c.Key()
			if !ok {
				break
			}
			name := room.read(raw)
			if comesAndGoes(name) {
				c.Skim()
				continue
			}
			members += sum{nameSum(raw, name)}.add(objectSalt, t.value(c))[0] // in any order
		}
		return sum{members}.add(endSalt, 1)[0]
	}
	return sum{}.add(endSalt, xxhash.Sum64(c.Skim()))[0]
}

// nameSum returns the digest of the name of a member, given as written and without its escapes. It
// is the same for mime_type as for mimeType: Google's APIs take both, and what translates requests
// for them may make one of the other.
func nameSum(raw, name []byte) uint64 {
	if len(name) > maxName || bytes.IndexByte(name, '_') <= 0 {
		return textSum(raw)
	}
	var room [maxName]byte
	camel := room[:0]
	for i, c := range name {
		switch {
		case c < '0' || c > 'z' || c == '\\': // others may be escaped, and then only textSum knows them
			return textSum(raw)
		case c == '_':
			continue
		case c >= 'a' && i > 0 && name[i-1] == '_':
			c -= 'a' - 'A'
		}
		camel = append(camel, c)
	}
	return xxhash.Sum64(camel)
}

// comesAndGoes reports whether a member of that name counts for nothing, since clients leave it out
// of later turns: a marker of a cache, or a signature of Gemini's.
func comesAndGoes(name []byte) bool {
	return cacheMarker(name) || string(name) == "thoughtSignature" || string(name) == "thought_signature"
}

// cacheMarker reports whether a member of that name marks where an upstream is to cache the
// prompt. Clients move these markers from turn to turn. All but OpenAI's begin with "cac", which
// mentionsMarker relies on; OpenAI's occurs only in blocks of content.
func cacheMarker(name []byte) bool {
	switch string(name) {
	case "cache_control", "cachePoint", "cache_point", "prompt_cache_breakpoint":
		return true
	}
	return false
}
