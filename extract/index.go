package extract

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// An index says where in a body the members are that extractors ask for. It is
// made in one walk, which stops where it may and goes on from there. Of several
// members of one name the last counts, as it does for the parsers of most
// upstreams.
//
// Whoever holds reading may read and change it. Others may read it once progress is
// good, for then nobody changes it. Its methods leave that to their callers.
//
// It is part of every Request, also of those whose headers decide, so it is
// small: offsets, and room for as many as real bodies have.
type index struct {
	progress atomic.Uint32 // what follows does not change once it is good or bad
	reading  sync.Mutex    // held by who changes it

	pos     uint32 // how far the walk has come
	present fieldSet
	known   []knownMember // those that are, or were, present

	// others are the offsets behind what is before the other members of the
	// body, for extractors with paths of their own. If there are more than maxOthers,
	// which no real body has, there are none: then it is walked again for
	// each such path.
	others []uint32
	many   bool

	counted uint32 // members, of the body and of the objects in it that have fields

	// talk is what the walk has read in passing, if it was talkative: the trail
	// of the messages, without the system prompt beside them.
	talk      *trail
	talkative atomic.Bool // somebody may ask for the trail

	room struct {
		known  [8]knownMember
		others [12]uint32
	}
}

type knownMember struct {
	from, to uint32 // of its value in the body
	field    field
}

const maxOthers = 64

// maxRead bounds the members that are read. No request has so many; a body that has is
// taken for none, and no work is wasted on the rest of it.
const maxRead = maxItems

// Progress of an index.
const (
	unfinished = iota
	good       // the body is one JSON object
	bad
)

// read reads the body to its end, if nobody has, and reports whether it is one
// JSON object.
func (r *Request) read() bool {
	if len(r.Body) == 0 {
		return false
	}
	x := &r.index
	if x.progress.Load() == unfinished {
		x.reading.Lock()
		x.readOn(r.Body, nil, nil)
		x.reading.Unlock()
	}
	return x.progress.Load() == good
}

// readPrompt reads the body and, in passing, its messages into a prompt. It
// returns nil if the body was read before, or if that is not what reading the
// messages by themselves would give.
func (r *Request) readPrompt() *prompt {
	x := &r.index
	x.reading.Lock()
	defer x.reading.Unlock()
	if len(r.Body) > wholly && x.pos == 0 && x.progress.Load() == unfinished {
		if p := newPrompt(); x.readOn(r.Body, nil, p) {
			return p
		}
	}
	return nil
}

// get returns the text of a field, or nil if there is none.
func (r *Request) get(f field) []byte {
	if !r.read() {
		return nil
	}
	return r.index.value(r.Body, f)
}

// hasAny reports whether the body has any of some fields.
func (r *Request) hasAny(s fieldSet) bool { return r.read() && r.index.present&s != 0 }

// member returns the text of the member of that name, or nil.
func (r *Request) member(name string) []byte {
	if !r.read() {
		return nil
	}
	return r.index.member(r.Body, name)
}

// value returns the text of a field, as far as the walk has come.
func (x *index) value(body []byte, f field) []byte {
	if x.present.has(f) {
		for i := range x.known {
			if k := &x.known[i]; k.field == f {
				return body[k.from:k.to]
			}
		}
	}
	return nil
}

// behind returns the first member behind an offset that is one of some fields, or nil.
func (x *index) behind(at uint32, fields fieldSet) (first *knownMember) {
	for i := range x.known {
		k := &x.known[i]
		if k.from >= at && x.present&fields&(1<<k.field) != 0 && (first == nil || k.from < first.from) {
			first = k
		}
	}
	return first
}

// member returns the text of the member of that name, as far as the walk has come.
func (x *index) member(body []byte, name string) []byte {
	if f := noField.known([]byte(name)); f != noField {
		return x.value(body, f)
	}
	if x.many && x.progress.Load() == good {
		return lastMember(body, name)
	}
	var room nameRoom
	for i := len(x.others) - 1; i >= 0; i-- {
		at := x.others[i]
		c := jsonscan.New(body[at-1:])
		if !c.Object() { // it is not the first, a comma is what comes next
			c = jsonscan.New(body[at:])
		}
		if key, _ := c.Key(); room.is(key, name) {
			return c.Skim()
		}
	}
	return nil
}

// A stop says at which member of the body a walk is to stop: at one of that name, or
// at one of the fields that it takes.
type stop struct {
	name   string // of none of the fields
	fields fieldSet
	takes  func(field) bool
}

// stopAt returns the stop at the members of that name.
func stopAt(name string) stop {
	if f := noField.known([]byte(name)); f != noField {
		return stop{fields: 1 << f, takes: func(field) bool { return true }}
	}
	return stop{name: name}
}

// asks reports whether a member of that field may be one to stop at.
func (s *stop) asks(f field) bool { return s.fields == 0 || s.fields.has(f) }

// at reports whether a member of the body is one to stop at, given its field, which
// the stop asks for, and its name as it is written.
func (s *stop) at(f field, written []byte) bool {
	if s.fields != 0 {
		return s.takes(f)
	}
	var room nameRoom
	return room.is(written, s.name)
}

// readOn goes on with the walk: to the end, or past the next member at which it is to
// stop. If there is a prompt, messages are read into it in passing; it reports whether
// that is what reading them by themselves would give.
func (x *index) readOn(body []byte, until *stop, p *prompt) (inPassing bool) {
	if x.progress.Load() != unfinished {
		return false
	}
	w := walk{index: x, c: jsonscan.New(body[x.pos:]), base: int(x.pos), careful: len(body) <= strictly, prompt: p, body: body}
	if x.pos == 0 {
		x.known, x.others = x.room.known[:0], x.room.others[:0]
		if uint64(len(body)) > math.MaxUint32 || !w.c.Object() {
			x.progress.Store(bad)
			return false
		}
	}
	if p == nil && x.pos == 0 && len(body) > wholly && x.talkative.Load() {
		w.talkingMembers(until)
	} else {
		w.members(noField, until, nil)
	}
	switch {
	case x.counted > maxRead:
		x.progress.Store(bad)
	case w.stopped:
		x.pos = uint32(w.pos())
	case w.c.End():
		x.progress.Store(good)
	default:
		x.progress.Store(bad)
	}
	return w.sole()
}

// A walk reads members into an index.
//
// In passing it reads the messages as well, so that nobody has to come back for them:
// into a prompt, if Boundaries has begun the walk, or into a trail, if a chain has one
// that may come to be asked (talkative), the walk begins with the body, and what it has
// met so far does not look like an id (hasID). That was for nothing, and is thrown
// away, unless the body was read to its end and what was read are the only messages that
// it has (sole): of several lists, an extractor may want another one.
type walk struct {
	*index
	body    []byte
	c       jsonscan.Cursor
	base    int  // where its text begins in the body
	careful bool // read to the letter
	stopped bool // behind the member that it was to go to

	prompt *prompt // reads messages, if it is not nil
	talks  int     // how many lists of messages were read, or would have been
	list   field   // the last of them
	passed bool    // over messages that were not read
}

// talkingMembers is members of the body, and reads the messages in passing. Of
// what it has read it keeps what somebody may ask for, who finds no id.
func (w *walk) talkingMembers(until *stop) {
	var t trail
	w.members(noField, until, &t)
	if w.sole() && !w.hasID(w.body) {
		kept := t
		w.talk = &kept
	}
}

// sole reports whether the messages that were read are those that count.
func (w *walk) sole() bool {
	return !w.stopped && !w.passed && w.talks == 1 && w.present.has(w.list)
}

// hasID reports whether the body has what looks like an id.
func (x *index) hasID(body []byte) bool {
	for _, k := range x.known {
		if idSet.has(k.field) && x.present.has(k.field) && body[k.from] == '"' && k.to-k.from > 2 {
			return true
		}
	}
	return false
}

// pos returns the offset in the body that the walk has come to.
func (w *walk) pos() int { return w.base + w.c.Pos() }

// members reads the members of the body or of one of its objects that the walk
// has entered: to the end, or past the next one at which it is to stop. If there is a
// trail, messages are read into it. (These are no fields of w, to stay off the heap.)
func (w *walk) members(in field, until *stop, t *trail) {
	c := &w.c
	for !w.stopped && w.more() {
		behind := w.pos()
		written, ok := c.Key()
		if !ok {
			return
		}
		from := w.pos()
		f := in.written(written)
		if f == noField || !w.enter(f, t) {
			if w.careful {
				c.Skip()
			} else {
				c.Skim()
			}
		}
		if !c.OK() {
			return
		}
		switch {
		case f != noField:
			w.keep(f, from, w.pos())
		case in == noField:
			w.other(behind)
		}
		if until != nil && until.asks(f) && until.at(f, written) && c.Kind() == ',' {
			w.stopped = f != noField || !w.many // not behind what it has not kept
		}
	}
}

// more counts a member, and reports whether there may be one more.
func (w *walk) more() bool {
	w.counted++
	return w.counted <= maxRead
}

// enter reads the value of a field if there is more to it than its end.
func (w *walk) enter(f field, t *trail) bool {
	inside := f.inside()
	w.present &^= inside
	switch {
	case inside != 0 && w.c.Object():
		w.members(f, nil, t)
		w.passed = w.passed || f == inputField && w.present&inside&messageSet == 0 // a message itself
	case messageSet.has(f) && (w.prompt != nil || t != nil && !w.hasID(w.body)):
		w.list = f
		w.messages(t)
	default:
		w.passed = w.passed || messageSet.has(f)
		return false
	}
	return true
}

// messages reads the next value, which are messages.
func (w *walk) messages(t *trail) {
	w.talks++
	switch {
	case w.talks > 1:
		w.c.Skim()
	case w.prompt != nil:
		s := strip{to: w.prompt, raw: w.body, c: w.c}
		s.messages()
		w.c = s.c
	default:
		t.messages(&w.c)
	}
}

// keep notes where the value of a field is.
func (x *index) keep(f field, from, to int) {
	x.present |= 1 << f
	m := knownMember{uint32(from), uint32(to), f}
	for i := range x.known {
		if x.known[i].field == f {
			x.known[i] = m
			return
		}
	}
	x.known = append(x.known, m)
}

// other notes the member of the body behind an offset.
func (x *index) other(at int) {
	switch {
	case x.many:
	case len(x.others) == maxOthers:
		x.others, x.many = nil, true
	default:
		x.others = append(x.others, uint32(at))
	}
}

// nameRoom is room for the name of a member that is written with escapes: for any that is
// known, however it is written.
type nameRoom [escapeLen * len("previous_interaction_id")]byte

// escapeLen is how many bytes it takes at most to write one.
const escapeLen = len(`\u0061`)

// read returns a name as it is meant. One that is too long for the room stays as it is
// written, backslashes and all, if it has any, and so does one that is too short for \uXXXX
// and one more letter: it is none that is known.
func (room *nameRoom) read(written []byte) []byte {
	if len(written) <= escapeLen || len(written) > len(room) {
		return written
	}
	return jsonscan.Text(written, room[:])
}

// is reports whether a name, as it is written, is that name.
func (room *nameRoom) is(written []byte, name string) bool {
	return len(written) <= escapeLen*len(name) && string(jsonscan.Text(written, room[:])) == name
}

// lastMember returns the text of the last member of that name in object, which
// is well-formed, or nil.
func lastMember(object []byte, name string) (value []byte) {
	c := jsonscan.New(object)
	if !c.Object() {
		return nil
	}
	var room nameRoom
	for {
		key, ok := c.Key()
		if !ok {
			return value
		}
		raw := c.Skim()
		if room.is(key, name) {
			value = raw
		}
	}
}
