package extract

import (
	"slices"
	"sync"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// This file finds an id without reading all of a large body: it then costs no more than
// reading two kilobytes. That is only for what is asked for before anything else;
// otherwise an id of lower precedence could win because of where it is. How much of a
// body is read before something in it is believed:
//
//   - Up to strictSize bytes, all of it, every value checked (Cursor.Skip).
//   - Up to wholeSize bytes, all of it, but values that nobody asks for are skimmed
//     (Cursor.Skim).
//   - Of a larger one, as little as it takes to find what is asked for first
//     (memberEarly): the ends, which are the members within the last or the first window
//     bytes; and if it is not there, the members from the start up to the one that is
//     looked for. The rest is read when something else is asked for.
//
// If the body is well-formed and no two members have the same name, that gives the same
// answer as reading all of it (FuzzEnds compares the two). Of several members of one name,
// one at the tail takes precedence over one at the head, and at either the last one counts;
// in between, the first.
//
// Default goes further (conversation, below): of a large body it takes any member that
// names a conversation, from the ends or else the first in between, rather than the one
// that is highest in its order. Clients that send two mostly put both at an end.
//
// The documentation of the package and of Default gives these sizes in words.
const (
	strictSize = 4 << 10
	wholeSize  = 16 << 10
	window     = 1 << 10
)

// memberEarly is member for the first thing that is asked for. It reads no more of a large body
// than it must.
func (r *Request) memberEarly(name string) []byte {
	x := &r.index
	if len(r.Body) <= wholeSize || x.progress.Load() != unfinished {
		return r.member(name)
	}
	value, ok := memberAtEnds(r.Body, name)
	if value != nil {
		return value
	}
	if !ok {
		return r.member(name)
	}
	x.reading.Lock()
	defer x.reading.Unlock()
	if value = x.member(r.Body, name); value == nil {
		x.readOn(r.Body, func(_ field, written []byte) bool {
			var room nameRoom
			return room.is(written, name)
		}, nil)
		value = x.member(r.Body, name)
	}
	if x.progress.Load() == bad {
		return nil
	}
	return value
}

// memberAtEnds returns the text of the body's member of that name if it is at an end, and
// nil otherwise. It returns false if atEnds does. The body must be longer than the window.
func memberAtEnds(body []byte, name string) (value []byte, ok bool) {
	var room nameRoom
	ok = atEnds(body, func(key []byte) bool { return room.is(key, name) }, func(found []byte, tail bool) (more bool) {
		value = found
		return !tail
	})
	if !ok {
		return nil, false
	}
	return value, true
}

// atEnds reads the members at the ends of a body, which must be longer than the window: those
// at the tail from the last one back, and then those at the head from the first one on. asked
// reports whether a member is asked for, given its name as written. If it is, found is called
// with its value, and at the tail returns whether to read on. Such values are checked; those of
// other members at the head are skimmed.
//
// atEnds returns false if it has met a mistake: at the tail, or after a value at the head,
// or a body that does not begin as an object. Then nothing that it has found is to be
// believed.
func atEnds(body []byte, asked func(key []byte) bool, found func(value []byte, tail bool) (more bool)) (ok bool) {
	head := jsonscan.New(body[:window])
	if !head.Object() {
		return false
	}
	tail := jsonscan.NewTail(body, window)
	for {
		key, value, ok := tail.Member()
		if !ok {
			break
		}
		if asked(key) && !found(value, true) {
			return true
		}
	}
	if !tail.OK() {
		return false
	}
	for {
		key, ok := head.Key()
		if !ok {
			return true
		}
		var value []byte
		wanted := asked(key)
		if wanted {
			value = head.Skip()
		} else {
			head.Skim()
		}
		// After a value that certainly ends within the window there is a comma. If the window
		// ends in the value or right after it, that is no mistake.
		if head.Kind() != ',' {
			return !head.OK() || head.End()
		}
		if wanted {
			found(value, false)
		}
	}
}

// ends has the fields of ids (and the objects that they are in) at the ends of a large body.
type ends struct {
	present fieldSet
	texts   [numFields][]byte
}

// read reads both ends. It returns false if atEnds does.
func (e *ends) read(body []byte) bool {
	var f field
	var last fieldSet // the fields at the tail, which count rather than those at the head
	return atEnds(body, func(key []byte) bool {
		f = noField.memberAsWritten(key)
		return idOrOuter.has(f) && !last.has(f)
	}, func(value []byte, tail bool) (more bool) {
		e.set(f, value)
		if tail {
			last |= 1 << f
		}
		return true
	})
}

// set notes the text of a field and of those inside it, in place of earlier ones.
func (e *ends) set(f field, text []byte) {
	e.present = e.present&^f.inside() | 1<<f
	e.texts[f] = text
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
		if g := f.memberAsWritten(key); g != noField {
			e.present |= 1 << g
			e.texts[g] = value
		}
	}
}

// conversationFields are the fields that conversation looks for, and the objects that they are
// in. Only Explicit ones are among them: others, such as prompt_cache_key, may be the same
// in all conversations of an application.
var conversationFields = (explicitSet | setOfList(claudeFields[:])).andOuter()

// Bounds on the members in between that are looked at but turn out to name no conversation.
// No real body has so many.
const (
	maxTries      = 64
	maxTriedBytes = 2 * maxRaw // in all of them
)

// inPassingSize is the size beyond which a body that has no id of any kind at its ends is
// assumed to have none at all: if Trail is in the Chain, the walk reads the messages in
// passing. If there is an id in between after all, that was in vain (except for Class, if they are
// many), and took a few times as long as skimming them, but still less than half as long as gjson
// takes to find the id.
const inPassingSize = 64 << 10

// spareTrails lends trails to those who may not need them.
var spareTrails = sync.Pool{New: func() any { return new(trail) }}

// conversation returns the session that ClaudeUserID or BodyIDs finds in a large body by a
// field that is Explicit: at the ends or, if there is none, by the first such member in
// between. It returns false for a body that is not large. If the body is well-formed and no
// two members have the same name, it makes no difference how much of it has been read
// already. after has the extractors that are asked next if it finds none.
func (r *Request) conversation(after Chain) (s Session, ok bool) {
	var e ends
	if len(r.Body) <= wholeSize || r.index.progress.Load() == bad || !e.read(r.Body) {
		return s, false
	}
	if r.conversationIn(e.present, func(f field) []byte { return e.texts[f] }, &s) {
		return s, true
	}
	ids := e.present & idSet &^ (1 << userField) // user is an id only in Claude Code's forms, of which there is none
	return r.conversationInBetween(len(r.Body) > inPassingSize && ids == 0 && slices.Contains(after, Trail()))
}

// conversationInBetween goes through the members of the body in order: first those that
// the index has noted already, and then those that its walk meets. It gives up after maxTries
// members, or maxTriedBytes bytes, that name nothing. likelyNone says that there is
// probably no id: then the walk reads the messages in passing.
func (r *Request) conversationInBetween(likelyNone bool) (s Session, ok bool) {
	x := &r.index
	x.reading.Lock()
	defer x.reading.Unlock()
	tries, tried := 0, 0
	// named reports whether there is a session in f, or inside it, and puts that into s and ok.
	named := func(f field) bool {
		if present := x.present & (1<<f | f.inside()); present&idSet != 0 && tries < maxTries && tried < maxTriedBytes {
			tries++
			ok = r.conversationIn(present, func(f field) []byte {
				text := x.value(r.Body, f)
				if len(text) <= maxRaw { // longer ones are not read, and cost nothing
					tried += len(text)
				}
				return text
			}, &s)
		}
		return ok
	}
	next := x.next(conversationFields, 0)
	for next != nil && !named(next.field) {
		next = x.next(conversationFields, next.to)
	}
	until := func(f field, _ []byte) bool { return conversationFields.has(f) && named(f) }
	switch {
	case next != nil: // the index had it
	case likelyNone && x.pos == 0:
		t := spareTrails.Get().(*trail)
		if x.readOn(r.Body, until, t.reader()) && (!ok || t.work > maxWork/8) { // Class is not to read so many twice
			x.trailInPassing = t
		} else {
			x.workInVain = t.work
			*t = trail{}
			spareTrails.Put(t)
		}
	default:
		x.readOn(r.Body, until, nil)
	}
	return s, ok && x.progress.Load() != bad
}

// conversationIn puts into s the session that the best of the given fields names, and
// reports whether one does. text returns the text of a field.
func (r *Request) conversationIn(present fieldSet, text func(field) []byte, s *Session) (ok bool) {
	for _, f := range claudeFields {
		if present.has(f) {
			if *s, ok = claudeFrom(r, text(f)); ok {
				return true
			}
		}
	}
	return bodyIDs.find(r, present&explicitSet, text, s)
}
