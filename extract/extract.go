package extract

// The files of the package, for those who have to change it:
//
//	extract.go                     extractors and chains
//	request.go                     requests, and how they are read from HTTP
//	header.go, claude.go, body.go  the ids in headers and bodies
//	id.go                          what an id is
//	session.go                     sessions, and what a request says of them beside the id
//	state.go                       state on the server, where it names the session
//	pins.go                        all state on the server that a request refers to
//	statereader.go                 the state on the server that a response makes
//	index.go, ends.go, field.go    how a body is read: see index.go
//	json.go                        how a value in it is read
//	parts.go                       where tools, system prompt and messages are in it
//	trail.go                       conversations without an id; it lists more files
//	class.go, bodyclass.go         what kind of call a request is
//	beginnings.go                  the same, by the first words of known clients
//	wishes.go                      the same, by what it asks for; it lists more files
//	words.go                       how words are found in texts
//	boundary.go, strip.go          where a prompt may be cut
//	credential.go                  who has sent a request

// An Extractor finds out which session a request belongs to.
//
// Rules for implementers:
//   - Extract is called by many goroutines at once. r is never nil.
//   - The second result is false if the request does not name a session in
//     the way that this Extractor knows. A broken or unusable name counts as
//     none: the next Extractor of the chain is asked.
//   - Pass an ID that clients choose through the function ID, which takes a "0" for no id.
//     It may be a substring of the request. An empty one counts as none.
//   - Choose a Source that no other extractor has, in words of your own: it is logged.
//   - Do not change or keep the request. Nor change the slices of a Session that was
//     returned: a Selector reads them until Selection.Done.
//
// Those of this package keep to these rules.
type Extractor interface {
	Extract(r *Request) (Session, bool)
}

// ExtractorFunc is an adapter to allow the use of ordinary functions as
// extractors.
type ExtractorFunc func(r *Request) (Session, bool)

// Extract calls f(r).
func (f ExtractorFunc) Extract(r *Request) (Session, bool) { return f(r) }

// A Chain asks extractors in order; the first that finds a session decides.
// It is an Extractor itself, so chains nest. Being a slice, it can be built,
// cut and rearranged with package slices before it is in use. The empty Chain
// finds nothing.
//
// Built-in neighbours share work, which makes two exceptions to the order. If
// [BodyIDs] comes right after [ClaudeUserID], the members of a large body that name a
// conversation count by where they are: see [Default]. And if [Headers] comes right
// after [ClaudeCode], Claude Code's header takes precedence over all others only in its
// canonical form; in other spellings it comes after all listed headers in canonical
// form.
type Chain []Extractor

// Extract returns the first session that an extractor of c finds.
func (c Chain) Extract(r *Request) (s Session, ok bool) {
	ok = c.Find(r, &s)
	r.Complete(&s)
	return s, ok
}

// Find is a faster Extract, which a Selector uses. It fills in s rather than returning a
// copy, since copying a Session takes as long as looking up a header. And if a header names
// the session, it leaves to [Request.Complete] what few callers ask for: who started it
// (Parent), and the Class Subagent if only Parent shows that. If no extractor finds a
// session, s is the zero Session.
func (c Chain) Find(r *Request, s *Session) (ok bool) {
	*s = Session{}
	for i := 0; i < len(c); i++ {
		// The built-in extractors that decide most requests fill in s themselves, and some
		// do the work of those after them as well: see the comment on Chain.
		switch e := c[i].(type) {
		case claudeCode:
			if i+1 < len(c) && c[i+1] == Extractor(knownHeaders) { // Headers(), but compared without a call
				i++
				ok = e.findWithHeaders(r, s, c[i+1:])
			} else {
				ok = e.find(r, s)
			}
		case *headers:
			ok = e.find(r, s)
		case claudeUserID:
			*s, ok = e.find(r, c[i+1:])
		case Chain:
			ok = e.Find(r, s)
		default:
			found, named := e.Extract(r)
			if ok = named && found.ID != ""; ok { // some do not check for an empty id
				*s = found
				if s.Class == Turn { // or the extractor has not set it
					s.Class = r.outerClass()
				}
			}
		}
		if ok {
			return true
		}
	}
	return false
}

// Default returns the chain for a gateway that serves all kinds of clients:
//
//	Chain{ClaudeCode(), Headers(), ClaudeUserID(), BodyIDs(), State(), UserID(), Trail()}
//
// What names a conversation takes precedence over what names a user, and both over what
// has to be worked out from the messages. If a header names the session, the body costs
// nothing, or a quick look in Anthropic's protocol (see [ClaudeCode]).
//
// If a body of more than 16 kB has several members that name a conversation, those within
// the first or the last kilobyte take precedence, and of those in between the first. So a
// request that has its id where clients put it costs the same whatever the size of its
// body. (This does not apply to prompt_cache_key, which some applications send in all
// conversations: the whole body is read.) The slice is the caller's, to change before use.
func Default() Chain {
	return Chain{ClaudeCode(), Headers(), ClaudeUserID(), BodyIDs(), State(), UserID(), Trail()}
}

// Classic returns five steps that some gateways have, in their order, for those who
// migrate from one of these:
//
//	Chain{ClaudeUserID(), Header("X-Session-ID"), UserID(), Body("conversation_id"), Trail()}
//
// It sends all conversations of a user_id to one target, even where each has a
// conversation_id. The slice is the caller's, to change before use.
func Classic() Chain {
	return Chain{ClaudeUserID(), Header("X-Session-ID"), UserID(), Body("conversation_id"), Trail()}
}
