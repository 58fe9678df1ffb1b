package extract

import (
	"math/bits"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// A body of up to strictly bytes is read to the letter before anything in it is
// believed. In a larger one the values that nobody asks for are passed over by
// their brackets and strings. In one of more than wholly bytes a member that is
// asked for before all others is believed where it is met: among the members at
// an end, within window bytes on either side, or on the way through the rest,
// which is not gone on with until something else is asked for. Its messages, which
// are most of it, are read in passing if they may be asked for and nothing that was
// met before looks like an id.
//
// That is never a guess about a well-formed body whose members all have names of
// their own: the answer is that of reading it all, since only the member that is
// asked for first is looked for here. Of several members of one name the last is
// taken, but for those in the middle.
//
// Default goes further: of such a body it takes any id of a conversation, from the
// ends before it looks for others in between, and there the first. Where clients send
// two, they mostly put both at an end.
const (
	strictly = 4 << 10
	wholly   = 16 << 10
	window   = 1 << 10

	maxTries = 64         // in between; no real body has so many ids that are none
	maxTried = 2 * maxRaw // bytes of them
)

// first returns the text of a field that is asked for before all others: of the
// member outer of the body and, if there is an inner one, the member inner of
// that. It reads no more of the body than it must.
func (r *Request) first(f field, outer, inner string) []byte {
	if len(r.Body) <= wholly || r.index.progress.Load() != unfinished {
		return r.get(f)
	}
	value := r.firstMember(outer)
	if inner == "" {
		return value
	}
	return lastMember(value, inner)
}

// firstMember returns the text of the member of that name, which is asked for
// before all others.
func (r *Request) firstMember(name string) []byte {
	x := &r.index
	if len(r.Body) <= wholly || x.progress.Load() != unfinished {
		return r.member(name)
	}
	value, ok := atEnds(r.Body, name)
	if value != nil {
		return value
	}
	if !ok {
		return r.member(name)
	}
	x.reading.Lock()
	defer x.reading.Unlock()
	if value = x.member(r.Body, name); value == nil {
		until := stopAt(name)
		x.readOn(r.Body, &until, nil)
		value = x.member(r.Body, name)
	}
	if x.progress.Load() == bad {
		return nil
	}
	return value
}

// atEnds returns the text of the member of that name, if it stands at an end of
// the body and that is enough to know that it counts. It reports false if it has seen
// a mistake: at the tail, behind a value at the head, or that the body is no object.
func atEnds(body []byte, name string) (value []byte, ok bool) {
	var room nameRoom
	head := newHead(body)
	if head.bad {
		return nil, false
	}
	tail := jsonscan.NewTail(body, window)
	for {
		key, value, ok := tail.Member()
		if !ok {
			break
		}
		if room.is(key, name) {
			return value, true
		}
	}
	if !tail.OK() {
		return nil, false
	}
	for {
		key, ok := head.key()
		if !ok {
			break
		}
		asked := room.is(key, name)
		if found, ok := head.value(asked); ok && asked {
			value = found
		}
	}
	if head.bad {
		return nil, false
	}
	return value, true
}

// A head reads the members at the head of a body that is larger than the window.
type head struct {
	c    jsonscan.Cursor
	open bool // there may be another one
	bad  bool // it is no object, or there was a mistake behind a value
}

func newHead(body []byte) head {
	h := head{c: jsonscan.New(body[:window])}
	if h.open = h.c.Object(); !h.open {
		whole := jsonscan.New(body) // whose first kilobyte may be white space
		h.bad = !whole.Object()
	}
	return h
}

// key returns the name of the next member. Its value must be read then.
func (h *head) key() (key []byte, ok bool) {
	if h.open {
		key, h.open = h.c.Key()
	}
	return key, h.open
}

// value returns the value of the member, if that ends within the window. It is
// read to the letter if it is asked for.
func (h *head) value(asked bool) (value []byte, ok bool) {
	if asked {
		value = h.c.Skip()
	} else {
		value = h.c.Skim()
	}
	h.open = h.c.Kind() == ','
	// Where the window ends, in the value or right behind it, there may be no mistake.
	h.bad = !h.open && h.c.OK() && !h.c.End()
	return value, h.open
}

// ends are the fields that stand at the ends of a large body.
type ends struct {
	present fieldSet
	texts   [numFields][]byte
}

// read reads both ends. It reports false if it has seen a mistake, as atEnds does: then
// no field is to be believed.
func (e *ends) read(body []byte) bool {
	var last fieldSet // those at the tail, which count
	for tail := jsonscan.NewTail(body, window); ; {
		key, value, ok := tail.Member()
		if !ok {
			if !tail.OK() {
				return false
			}
			break
		}
		if f := noField.written(key); idOrOuter.has(f) && !last.has(f) {
			e.set(f, value)
			last |= 1 << f
		}
	}
	for head := newHead(body); ; {
		key, ok := head.key()
		if !ok {
			return !head.bad
		}
		f := noField.written(key)
		asked := idOrOuter.has(f) && !last.has(f)
		if value, ok := head.value(asked); ok && asked {
			e.set(f, value)
		}
	}
}

// set notes the text of a field, and those inside it, in place of others.
func (e *ends) set(f field, text []byte) {
	inside := f.inside()
	e.present = e.present&^inside | 1<<f
	e.texts[f] = text
	if inside == 0 {
		return
	}
	c := jsonscan.New(text)
	if !c.Object() {
		return
	}
	for {
		key, ok := c.Key()
		if !ok {
			return
		}
		value := c.Skim()
		if g := f.written(key); g != noField {
			e.present |= 1 << g
			e.texts[g] = value
		}
	}
}

// hasID reports whether there is what looks like an id, as index.hasID does.
func (e *ends) hasID() bool {
	for ids := e.present & idSet; ids != 0; ids &= ids - 1 {
		if text := e.texts[bits.TrailingZeros64(uint64(ids))]; text[0] == '"' && len(text) > 2 {
			return true
		}
	}
	return false
}

// conversationFields are those that Default looks for with ClaudeUserID and BodyIDs, and
// those that have some inside. What is not Explicit may be the same in all conversations.
var conversationFields = (explicitSet | 1<<metadataUserIDField).andOuter()

// conversation returns the session that a large body names in a way that tells
// conversations apart, as ClaudeUserID knows it or as BodyIDs does: at its ends, or
// else where such a member is first met. Of a well-formed body whose members all have
// names of their own, the answer is the same before it is read and after.
func (r *Request) conversation() (s Session, ok bool) {
	var e ends
	if len(r.Body) <= wholly || r.index.progress.Load() == bad || !e.read(r.Body) {
		return s, false
	}
	if r.conversationIn(e.present, func(f field) []byte { return e.texts[f] }, &s) {
		return s, true
	}
	if e.hasID() {
		r.index.talkative.Store(false) // it is not likely to come to the trail
	}
	return r.conversationInBetween()
}

// conversationInBetween goes through the members of the body in order, those first
// that the walk has come past already.
func (r *Request) conversationInBetween() (s Session, ok bool) {
	x := &r.index
	x.reading.Lock()
	defer x.reading.Unlock()
	tries, tried := 0, 0
	names := func(f field) bool {
		if present := x.present & (1<<f | f.inside()); present&idSet != 0 && tries < maxTries && tried < maxTried {
			tries++
			ok = r.conversationIn(present, func(f field) []byte {
				text := x.value(r.Body, f)
				if len(text) <= maxRaw { // nobody reads a longer one
					tried += len(text)
				}
				return text
			}, &s)
		}
		return ok
	}
	for at := uint32(0); ; {
		next := x.behind(at, conversationFields)
		if next == nil {
			break
		}
		if names(next.field) {
			return s, ok && x.progress.Load() != bad
		}
		at = next.to
	}
	x.readOn(r.Body, &stop{fields: conversationFields, takes: names}, nil)
	return s, ok && x.progress.Load() != bad
}

// conversationIn puts into s the session that one of the fields names that are present,
// given their texts.
func (r *Request) conversationIn(present fieldSet, text func(field) []byte, s *Session) (ok bool) {
	if present.has(metadataUserIDField) {
		if *s, ok = claudeNames(r, text(metadataUserIDField)); ok {
			return true
		}
	}
	present &= explicitSet
	for i := 0; present != 0; i++ {
		f := &bodyIDs[i]
		if !present.has(f.field) {
			continue
		}
		if id, ok := jsonID(text(f.field)); ok {
			r.name(s, f.source, id, f.confidence)
			if f.field == clientMetadataSessionIDField {
				s.nameByMetadata(text(clientMetadataField))
			}
			return true
		}
		present &^= 1 << f.field
	}
	return false
}
