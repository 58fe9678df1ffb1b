package extract

import "github.com/go-affinity/affinity/internal/jsonscan"

// A body of up to strictly bytes is read to the letter before anything in it is
// believed. In a larger one the values that nobody asks for are passed over by
// their brackets and strings. In one of more than wholly bytes a member that
// decides is believed where it stands among those at an end, within window bytes
// on either side: what is between, most of the body, is then not looked at.
//
// That is never a guess about a well-formed body whose members all have names of
// their own: the answer is that of reading it all, since only the member that is
// asked for first is looked for here. Of several members of one name the last is
// taken, but for those in the middle.
const (
	strictly = 4 << 10
	wholly   = 32 << 10
	window   = 1 << 10
)

// atEnds returns the text of the member of that name, if it stands at an end of
// the body and that is enough to know that it counts.
func (r *Request) atEnds(name string) []byte {
	body := r.Body
	if len(body) <= wholly || r.index.Load() != nil {
		return nil
	}
	var room nameRoom
	tail := jsonscan.NewTail(body, window)
	for {
		key, value, ok := tail.Member()
		if !ok {
			break
		}
		if string(jsonscan.Text(key, room[:])) == name {
			return value
		}
	}
	if !tail.OK() {
		return nil
	}
	head := jsonscan.New(body[:window])
	var found []byte
	for ok := head.Object(); ok; {
		var key []byte
		if key, ok = head.Key(); !ok {
			break
		}
		value := head.Skip()
		behind := head.Kind()
		if behind == 0 { // the value may go on behind the window
			break
		}
		if behind != ',' {
			return nil
		}
		if string(jsonscan.Text(key, room[:])) == name {
			found = value
		}
	}
	return found
}

// first returns the text of a field that is asked for before all others: of the
// member outer of the body and, if there is an inner one, the member inner of
// that. It reads no more of the body than it must.
func (r *Request) first(f field, outer, inner string) []byte {
	value := r.atEnds(outer)
	if value == nil {
		return r.get(f)
	}
	if inner == "" {
		return value
	}
	return lastMember(value, inner)
}
