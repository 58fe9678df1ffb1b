package extract

import "github.com/go-affinity/affinity/internal/jsonscan"

// A body of up to strictly bytes is read to the letter before anything in it is
// believed. In a larger one the values that nobody asks for are passed over by
// their brackets and strings. In one of more than wholly bytes a member that is
// asked for before all others is believed where it is met: among the members at
// an end, within window bytes on either side, or on the way through the rest,
// which is not gone on with until something else is asked for.
//
// That is never a guess about a well-formed body whose members all have names of
// their own: the answer is that of reading it all, since only the member that is
// asked for first is looked for here. Of several members of one name the last is
// taken, but for those in the middle.
//
// In a body of more than passing bytes, whose messages are most of it, these are
// read in passing, if they may be asked for. In a smaller one it costs less to go
// back to them than it would cost all who do not ask for them.
const (
	strictly = 4 << 10
	passing  = 16 << 10
	wholly   = 32 << 10
	window   = 1 << 10
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

// atEnds returns the text of the member inner of the member outer of the body, if
// that stands at an end. It neither reads the body nor depends on whether it has
// been read.
func (r *Request) atEnds(outer, inner string) []byte {
	value, _ := atEnds(r.Body, outer)
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
		x.readOn(r.Body, name, nil)
		value = x.member(r.Body, name)
	}
	if x.progress.Load() == bad {
		return nil
	}
	return value
}

// atEnds returns the text of the member of that name, if it stands at an end of
// the body and that is enough to know that it counts. It reports false if there
// is a mistake at an end.
func atEnds(body []byte, name string) (value []byte, ok bool) {
	var room nameRoom
	tail := jsonscan.NewTail(body, window)
	for {
		key, value, ok := tail.Member()
		if !ok {
			break
		}
		if string(jsonscan.Text(key, room[:])) == name {
			return value, true
		}
	}
	if !tail.OK() {
		return nil, false
	}
	head := jsonscan.New(body[:window])
	for ok := head.Object(); ok; {
		var key []byte
		if key, ok = head.Key(); !ok {
			break
		}
		found := head.Skip()
		behind := head.Kind()
		if behind == 0 { // the value may go on behind the window
			break
		}
		if behind != ',' {
			return nil, false
		}
		if string(jsonscan.Text(key, room[:])) == name {
			value = found
		}
	}
	return value, true
}
