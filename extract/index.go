package extract

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// How a body is read
//
// Extractors ask a Request for members of its body: for fields, which are the members
// that this package knows (field.go), or for members by their names. Two readers answer.
//
//   - The index (this file) walks through the body once, forward, and notes where its
//     members are. Its answer is the reference. It is fast because values that nobody
//     asks for are skimmed, 64 bytes at a time, and hardly anything is copied or allocated.
//   - The ends (ends.go) save most of the walk in large bodies: the member that is asked for
//     first is looked for within the first and the last kilobyte and, if it is not there, by a
//     walk that stops once it has met it.
//
// If the messages of a large body are needed before anybody has read it, or are likely to be,
// the walk reads them in passing, into a trail (trail.go) or a prompt (boundary.go), so that
// they are read only once. If only an id is needed, the walk skims them.
//
// What holds them to it: FuzzBodyIDs and TestBodyIDsLikeTheReference compare the index
// with the plain reader in reference_test.go; FuzzEnds, TestIDsAtTheEndsOfLargeBodies and
// TestConversationsInLargeBodies compare the ends with the index; TestPlacesOfMessages
// compares messages that were read in passing with those that were not; and
// TestFieldsAreWhereTheirNamesAre checks the tables of field.go.

// An index says where in a body the members are that extractors ask for. It is made in
// one walk, which may stop on the way and go on from there later. Of several members of
// one name the last counts, as it does for the parsers of most upstreams.
//
// Whoever holds the lock reading may read and change an index. Others may read it once progress
// is good or bad, since nobody changes it from then on (except trailInPassing). The methods of
// index check neither: that is up to their callers.
//
// It is part of every Request, even if headers decide, so it is small: it has offsets, and
// room for as many as real bodies have.
type index struct {
	progress atomic.Uint32 // unfinished, good or bad
	reading  sync.Mutex    // guards all that follows until progress is good or bad

	pos     uint32        // the offset that the walk has reached, 0 if it has not begun
	present fieldSet      // the fields that the body has, as far as the walk has come
	known   []knownMember // one for each field that is present, or was until its object came again

	// others has one offset for each member of the body that is not a field: where the
	// opening brace or the member before it ends. It serves those who ask by name. If there
	// are more than maxOthers, as in no real body, it is nil and tooManyOthers is true: then
	// only Body finds such a member, by walking through the body again for each path.
	others        []uint32
	tooManyOthers bool

	counted uint32 // members read: those of the body and of the objects in it that have fields

	// trailInPassing is the trail of the messages, without the system prompt beside them,
	// if it was read in passing; the walk may yet find others. If that was in vain, workInVain is
	// the work of the trail. They may be set after progress, so whoever asks for them holds reading.
	trailInPassing *trail
	workInVain     int32

	room struct { // for known and others, to begin with
		known  [8]knownMember
		others [12]uint32
	}
}

// A knownMember says where in the body the value of a field is.
type knownMember struct {
	from, to uint32
	field    field
}

const maxOthers = 64

// maxMembers bounds the members that a walk reads, where the end of each object that it enters
// counts as one. No request has so many; a body with more counts as malformed, so that no work
// is wasted on the rest of it.
const maxMembers = 1 << 15

// Progress of an index.
const (
	unfinished = iota
	good       // the body was read to its end and is one JSON object
	bad        // it is not, or reading it was given up
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

// readWithTrail is read for callers that ask for the trail next.
func (r *Request) readWithTrail() bool {
	x := &r.index
	if len(r.Body) > wholeSize && x.progress.Load() == unfinished {
		x.reading.Lock()
		t := new(trail)
		if x.pos == 0 && x.readOn(r.Body, nil, t.reader()) {
			x.trailInPassing = t
		} else {
			x.workInVain += t.work
		}
		x.reading.Unlock()
	}
	return r.read()
}

// promptInPassing reads a large body and, in passing, its messages into a prompt. It returns nil
// if the body is small or if somebody has begun to read it before, and false as well if the prompt
// is not the one that reading the messages by themselves would give.
func (r *Request) promptInPassing() (p *prompt, ok bool) {
	x := &r.index
	x.reading.Lock()
	defer x.reading.Unlock()
	if len(r.Body) <= wholeSize || x.pos != 0 {
		return nil, false
	}
	s := strip{to: newPrompt(), raw: r.Body}
	ok = x.readOn(r.Body, nil, func(c jsonscan.Cursor) jsonscan.Cursor { s.c = c; s.messages(); return s.c })
	return s.to, ok
}

// get returns the text of a field, or nil if the body does not have it.
func (r *Request) get(f field) []byte {
	if !r.read() {
		return nil
	}
	return r.index.value(r.Body, f)
}

// member returns the text of the body's member of that name, or nil.
func (r *Request) member(name string) []byte {
	if !r.read() {
		return nil
	}
	return r.index.member(r.Body, name)
}

// value returns the text of a field, as far as the walk has come, or nil.
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

// next returns the first of the given fields, in the order of the text, whose value begins at
// the offset at or later, as far as the walk has come, or nil.
func (x *index) next(fields fieldSet, at uint32) (first *knownMember) {
	for i := range x.known {
		k := &x.known[i]
		if k.from >= at && x.present&fields&(1<<k.field) != 0 && (first == nil || k.from < first.from) {
			first = k
		}
	}
	return first
}

// member returns the text of the body's member of that name, as far as the walk has
// come, or nil.
func (x *index) member(body []byte, name string) []byte {
	if f := noField.member([]byte(name)); f != noField {
		return x.value(body, f)
	}
	var room nameRoom
	for i := len(x.others) - 1; i >= 0; i-- {
		at := x.others[i]
		written := body[at:]
		if written[0] == ',' {
			written = written[1:]
		}
		if written[0] == '"' && written[1] != name[0] && written[1] != '\\' { // mostly
			continue
		}
		c := jsonscan.New(body[at-1:])
		if !c.Object() { // it is not the first member: a comma comes next
			c = jsonscan.New(body[at:])
		}
		if key, _ := c.Key(); room.is(key, name) {
			return c.Skim()
		}
	}
	return nil
}

// A stop reports whether a walk is to stop after a member of the body, given its
// field or noField, and its name as written.
type stop func(f field, written []byte) bool

// A reader reads the messages, which come next at c, and returns the Cursor after them.
type reader func(c jsonscan.Cursor) jsonscan.Cursor

// reader returns a reader of the messages into t.
func (t *trail) reader() reader {
	return func(c jsonscan.Cursor) jsonscan.Cursor { t.messages(&c); return c }
}

// readOn continues the walk, if it is unfinished: to the end of the body or, if until is
// not nil, past the next member for which until returns true. The caller holds x.reading.
//
// If messages is not nil, it reads the messages in passing, and readOn reports whether the
// result is what reading the messages by themselves would give.
func (x *index) readOn(body []byte, until stop, messages reader) (inPassing bool) {
	if x.progress.Load() != unfinished {
		return false
	}
	w := walk{index: x, c: jsonscan.New(body[x.pos:]), base: int(x.pos), strict: len(body) <= strictSize}
	if x.pos == 0 {
		x.known, x.others = x.room.known[:0], x.room.others[:0]
		if uint64(len(body)) > math.MaxUint32 || !w.c.Object() {
			x.progress.Store(bad)
			return false
		}
	}
	w.members(noField, until, messages)
	if t := x.trailInPassing; t != nil && (w.unread || x.present&messageSet == 0) { // others came after a stop
		x.trailInPassing, x.workInVain = nil, t.work
	}
	switch {
	case x.counted > maxMembers:
		x.progress.Store(bad)
	case w.stopped:
		x.pos = uint32(w.pos())
	case w.c.End():
		x.progress.Store(good)
	default:
		x.progress.Store(bad)
	}
	return w.hasReadTheMessages()
}

// A walk reads members into an index, from where the last walk has stopped.
//
// It may read the messages in passing, before it knows whether they are those that count. The
// result is of use only if hasReadTheMessages is true at the end. Of several lists of messages
// only the first is read, since it is of use only if there is no other.
type walk struct {
	*index
	c       jsonscan.Cursor
	base    int  // the offset in the body at which the text of c begins
	strict  bool // check everything: skip rather than skim
	stopped bool // it has passed the member at which it was to stop

	lists    int   // how many lists of messages there were for the reader, of which it has read the first
	lastList field // where the last of them was
	unread   bool  // there were other messages, not for the reader
}

// hasReadTheMessages reports whether the messages that the walk has read are all that the
// body has. It is false if another list of messages may be the one that an extractor wants.
func (w *walk) hasReadTheMessages() bool {
	return !w.unread && w.lists == 1 && w.present.has(w.lastList)
}

// pos returns the offset in the body that the walk has reached.
func (w *walk) pos() int { return w.base + w.c.Pos() }

// members reads the members of the body, if in is noField, or of the object in the field in:
// to its end or, in the body, past the next member for which until returns true. The
// Cursor must be inside the object. (The functions are parameters since as fields of w they
// would be allocated on the heap.)
func (w *walk) members(in field, until stop, messages reader) {
	c := &w.c
	for !w.stopped && w.count() {
		before := w.pos() // where the text before the member ends
		written, ok := c.Key()
		if !ok {
			return
		}
		from := w.pos()
		f := in.memberAsWritten(written)
		if f == noField || !w.readInside(f, messages) {
			if w.strict {
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
			w.note(f, from, w.pos())
		case in == noField:
			w.noteOther(before)
		}
		w.stopped = until != nil && until(f, written) && c.Kind() == ','
	}
}

// count counts a member that is about to be read, and reports whether it may be.
func (w *walk) count() bool {
	w.counted++
	return w.counted <= maxMembers
}

// readInside reads the value of a field if it has to be entered: there may be other fields
// inside, or it has messages for the reader. It reports whether it has read the value.
func (w *walk) readInside(f field, messages reader) bool {
	inside := f.inside()
	w.present &^= inside
	switch {
	case inside != 0 && w.c.Object():
		w.members(f, nil, messages)
		w.unread = w.unread || f == inputField && w.present&inside&messageSet == 0 // without messages in it, the object is itself one
	case messageSet.has(f) && messages != nil:
		w.lastList = f
		if w.lists++; w.lists > 1 {
			return false
		}
		w.c = messages(w.c)
	default:
		w.unread = w.unread || messageSet.has(f)
		return false
	}
	return true
}

// note notes where the value of a field is, in place of an earlier one.
func (x *index) note(f field, from, to int) {
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

// noteOther notes a member of the body that is not a field, by where the text before it ends.
func (x *index) noteOther(at int) {
	switch {
	case x.tooManyOthers:
	case len(x.others) == maxOthers:
		x.others, x.tooManyOthers = nil, true
	default:
		x.others = append(x.others, uint32(at))
	}
}
