package extract

import (
	"bytes"
	"strings"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// This file reads JSON values as they are written in a body: strings, the ids in them, and members
// of objects. And it searches them for names, which is quicker than reading.

// maxRaw is the length of the longest string, as written in JSON, that is looked at for an
// id. It is larger than maxID since a metadata.user_id may have more in it than the id.
const maxRaw = 16 << 10

// unquote returns the string that raw, the text of a JSON value, stands for. It is empty if the
// value is not a string, or is longer than maxRaw.
func unquote(raw []byte) string {
	var room idRoom
	return string(unquoteIn(raw, &room))
}

// idRoom is a buffer to undo the escapes in a text. It is large enough for most texts that are
// looked at for ids.
type idRoom [512]byte

// unquoteIn is unquote without allocating: the result is in raw or, if it has escapes and they
// fit, in room.
func unquoteIn(raw []byte, room *idRoom) []byte {
	if len(raw) < 2 || raw[0] != '"' || len(raw) > maxRaw {
		return nil
	}
	return jsonscan.Text(raw[1:len(raw)-1], room[:])
}

// jsonID returns the id in raw, the text of a JSON value. Only strings are ids: a number or
// true would be the same for many clients, by mistake.
func jsonID(raw []byte) (string, bool) {
	var room idRoom
	s := unquoteIn(raw, &room)
	if len(s) <= maxPlaceholder && meansNoID(string(s)) { // without allocating a string for it
		return "", false
	}
	return ID(string(s))
}

// idWith is jsonID for ids that begin with prefix. Others, which are most, are not allocated.
func idWith(prefix string, raw []byte) (string, bool) {
	if len(raw) == 0 || raw[0] != '"' { // mostly, and early, since clearing room takes time
		return "", false
	}
	var room idRoom
	if s := unquoteIn(raw, &room); !bytes.HasPrefix(bytes.TrimSpace(s), []byte(prefix)) {
		return "", false
	}
	return jsonID(raw)
}

// hasText reports whether a value is a string, other than a placeholder for none. It need not be fit
// to be an id.
func hasText(raw []byte) bool {
	switch {
	case len(raw) == 0 || raw[0] != '"': // mostly, and early, since clearing room takes time
		return false
	case len(raw) > maxRaw:
		return true
	}
	return !meansNoID(strings.TrimSpace(unquote(raw))) // an empty string means no id, too
}

// nameRoom is a buffer to undo the escapes in the name of a member. It is large enough for
// all names that are known, even if each letter is written as an escape.
type nameRoom [escapeLen * maxName]byte

// escapeLen is the length of the longest escape of one letter.
const escapeLen = len(`\u0061`)

// read returns a name without its escapes. To save time and memory, two kinds of names are
// returned as written, since none of them is a known name: those too long for the room, and
// those too short to be an escape and one more letter.
func (room *nameRoom) read(written []byte) []byte {
	if len(written) <= escapeLen || len(written) > len(room) {
		return written
	}
	return jsonscan.Text(written, room[:])
}

// is reports whether written, the name of a member as written, is name. Escapes only make it
// longer.
func (room *nameRoom) is(written []byte, name string) bool {
	if len(written) <= len(name) {
		return string(written) == name
	}
	return len(written) <= escapeLen*len(name) && string(jsonscan.Text(written, room[:])) == name
}

// maxObjectMembers bounds the members of an object that lastMember looks at, since it goes
// through some objects once for each name. No real object has so many.
const maxObjectMembers = 1 << 12

// lastMember returns the text of the last member of that name in a JSON object, or nil if
// there is none. Values are skimmed. A malformed object is read up to the mistake. A value
// that is not an object has no members, and nor has an object of maxObjectMembers or more.
func lastMember(object []byte, name string) (value []byte) {
	c := jsonscan.New(object)
	if !c.Object() {
		return nil
	}
	var room nameRoom
	for range maxObjectMembers {
		key, ok := c.Key()
		if !ok {
			return value
		}
		raw := c.Skim()
		if room.is(key, name) {
			value = raw
		}
	}
	return nil
}

// keyword reads the next value and returns it, if it is a string. It is for values that are
// one of a few fixed words: nobody has a reason to escape these, but anybody may.
func keyword(c *jsonscan.Cursor) []byte {
	const longest = 256
	raw, _ := c.String()
	if len(raw) <= escapeLen || len(raw) > longest { // as in nameRoom.read
		return raw
	}
	return jsonscan.Text(raw, nil)
}

// mentions reports whether mention finds one of the words in raw.
func mentions(raw []byte, place int, words ...string) bool { return mention(raw, place, words...) >= 0 }

// mention returns the offset of the first of the words in raw, or -1. They must begin with a
// quote, and all have the same byte at the index place, one that other names seldom have
// there.
func mention(raw []byte, place int, words ...string) int {
	for at := 0; ; at++ {
		i := jsonscan.QuoteBefore(raw[at:], place, words[0][place])
		if i < 0 {
			return -1
		}
		at += i
		if begins(raw[at:], words...) {
			return at
		}
	}
}
