package extract

import (
	"bytes"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// A field is a member of the body that the built-in extractors ask for. Those
// of one inner object stand together, so that they can be cleared together.
type field uint8

const (
	noField field = iota

	conversationIDField
	conversationIDCamelField
	conversationField
	sessionIDField
	sessionIDCamelField
	litellmSessionIDField
	promptCacheKeyField
	previousResponseIDField
	previousInteractionIDField
	messagesField
	contentsField
	inputField
	promptField
	imagesField
	systemField
	systemInstructionField
	systemInstructionSnakeField
	instructionsField
	contextField
	cachedContentField
	cachedContentSnakeField
	containerField
	toolsField
	toolConfigField

	metadataUserIDField
	metadataSessionIDField
	metadataSessionIDCamelField
	metadataConversationIDField
	metadataCursorConversationIDField
	afterMetadata

	clientMetadataSessionIDField
	afterClientMetadata

	unboundMetadataTaskIDField
	afterUnboundMetadata

	conversationInnerIDField
	afterConversation

	threadTypeField
	threadPreviousMessageIDField
	afterThread

	containerInnerIDField
	afterContainer

	requestMetadataSessionIDField
	requestMetadataSessionIDCamelField
	afterRequestMetadata

	requestSessionIDField
	requestSessionIDCamelField
	requestContentsField
	requestSystemInstructionField
	requestSystemInstructionSnakeField
	requestCachedContentField
	requestToolsField
	afterRequest

	numFields
)

// An object is one whose members are looked at.
type object uint8

const (
	noObject object = iota
	rootObject
	metadataObject
	clientMetadataObject
	unboundMetadataObject
	conversationObject
	threadObject
	containerObject
	requestMetadataObject
	requestObject
)

// fields returns the range of fields that an inner object has.
func (o object) fields() (from, to field) {
	switch o {
	case metadataObject:
		return metadataUserIDField, afterMetadata
	case clientMetadataObject:
		return clientMetadataSessionIDField, afterClientMetadata
	case unboundMetadataObject:
		return unboundMetadataTaskIDField, afterUnboundMetadata
	case conversationObject:
		return conversationInnerIDField, afterConversation
	case threadObject:
		return threadTypeField, afterThread
	case containerObject:
		return containerInnerIDField, afterContainer
	case requestMetadataObject:
		return requestMetadataSessionIDField, afterRequestMetadata
	case requestObject:
		return requestSessionIDField, afterRequest
	}
	return noField, noField
}

// known returns what a member of an object is: a field, an object with fields,
// or both.
func (o object) known(name []byte) (field, object) {
	switch o {
	case rootObject:
		switch string(name) {
		case "conversation_id":
			return conversationIDField, noObject
		case "conversationId":
			return conversationIDCamelField, noObject
		case "conversation":
			return conversationField, conversationObject
		case "session_id":
			return sessionIDField, noObject
		case "sessionId":
			return sessionIDCamelField, noObject
		case "litellm_session_id":
			return litellmSessionIDField, noObject
		case "prompt_cache_key":
			return promptCacheKeyField, noObject
		case "previous_response_id":
			return previousResponseIDField, noObject
		case "previous_interaction_id":
			return previousInteractionIDField, noObject
		case "messages":
			return messagesField, noObject
		case "contents":
			return contentsField, noObject
		case "input":
			return inputField, noObject
		case "prompt":
			return promptField, noObject
		case "images":
			return imagesField, noObject
		case "system":
			return systemField, noObject
		case "systemInstruction":
			return systemInstructionField, noObject
		case "system_instruction":
			return systemInstructionSnakeField, noObject
		case "instructions":
			return instructionsField, noObject
		case "context":
			return contextField, noObject
		case "cachedContent":
			return cachedContentField, noObject
		case "cached_content":
			return cachedContentSnakeField, noObject
		case "tools":
			return toolsField, noObject
		case "toolConfig":
			return toolConfigField, noObject
		case "container":
			return containerField, containerObject
		case "requestMetadata":
			return noField, requestMetadataObject
		case "metadata":
			return noField, metadataObject
		case "client_metadata":
			return noField, clientMetadataObject
		case "unbound_metadata":
			return noField, unboundMetadataObject
		case "thread":
			return noField, threadObject
		case "request":
			return noField, requestObject
		}
	case metadataObject:
		switch string(name) {
		case "user_id":
			return metadataUserIDField, noObject
		case "session_id":
			return metadataSessionIDField, noObject
		case "sessionId":
			return metadataSessionIDCamelField, noObject
		case "conversation_id":
			return metadataConversationIDField, noObject
		case "cursorConversationId":
			return metadataCursorConversationIDField, noObject
		}
	case clientMetadataObject:
		if string(name) == "session_id" {
			return clientMetadataSessionIDField, noObject
		}
	case unboundMetadataObject:
		if string(name) == "taskId" {
			return unboundMetadataTaskIDField, noObject
		}
	case conversationObject:
		if string(name) == "id" {
			return conversationInnerIDField, noObject
		}
	case threadObject:
		switch string(name) {
		case "type":
			return threadTypeField, noObject
		case "previous_message_id":
			return threadPreviousMessageIDField, noObject
		}
	case containerObject:
		if string(name) == "id" {
			return containerInnerIDField, noObject
		}
	case requestMetadataObject:
		switch string(name) {
		case "session_id":
			return requestMetadataSessionIDField, noObject
		case "sessionId":
			return requestMetadataSessionIDCamelField, noObject
		}
	case requestObject:
		switch string(name) {
		case "session_id":
			return requestSessionIDField, noObject
		case "sessionId":
			return requestSessionIDCamelField, noObject
		case "contents":
			return requestContentsField, noObject
		case "systemInstruction":
			return requestSystemInstructionField, noObject
		case "system_instruction":
			return requestSystemInstructionSnakeField, noObject
		case "cachedContent", "cached_content":
			return requestCachedContentField, noObject
		case "tools":
			return requestToolsField, noObject
		}
	}
	return noField, noObject
}

// An index says where in a body the members are that extractors ask for. It is
// made in one walk. Of several members of one name the last counts, as it does
// for the parsers of most upstreams.
type index struct {
	ok     bool // the body is one JSON object
	fields [numFields][]byte

	// others are the members of the body by name, for extractors with paths
	// of their own. There are none if the body has more than maxOthers, which
	// no real one has: then it is walked again for each such path.
	others []member
	room   [16]member // for the first of them
	many   bool

	// talk is the trail of the messages, without the system prompt that stands
	// beside them. It is good if there was one list of messages only.
	talk  trail
	talks int
}

type member struct{ name, value []byte }

const maxOthers = 64

// read returns the index of the body, which the first caller makes.
func (r *Request) read() *index {
	if x := r.index.Load(); x != nil {
		return x
	}
	r.index.CompareAndSwap(nil, newIndex(r.Body))
	return r.index.Load()
}

// get returns the text of a member, or nil if there is none.
func (r *Request) get(f field) []byte {
	if len(r.Body) == 0 {
		return nil
	}
	return r.read().fields[f]
}

func newIndex(body []byte) *index {
	if len(body) <= strictly {
		if c := jsonscan.New(body); c.Skip() == nil || !c.End() {
			return new(index)
		}
	}
	x := new(index)
	x.others = x.room[:0]
	c := jsonscan.New(body)
	if !c.Object() {
		return new(index)
	}
	x.members(&c, rootObject, body)
	if !c.End() {
		return new(index)
	}
	x.ok = true
	return x
}

// members reads the members of the object that c has entered.
func (x *index) members(c *jsonscan.Cursor, in object, body []byte) {
	var room nameRoom
	for {
		name, ok := c.Key()
		if !ok {
			return
		}
		start := c.Pos()
		plain := jsonscan.Text(name, room[:])
		f, inner := in.known(plain)
		if inner != noObject {
			from, to := inner.fields()
			clear(x.fields[from:to])
		}
		switch {
		case inner != noObject && c.Object():
			x.members(c, inner, body)
		case f.holdsMessages():
			if x.talks++; x.talks == 1 {
				x.talk.messages(c)
			} else {
				c.Skim()
			}
		default:
			c.Skim()
		}
		if !c.OK() {
			return
		}
		value := body[start:c.Pos()]
		if f != noField {
			x.fields[f] = value
		}
		if in == rootObject && !x.many {
			x.other(plain, name, value)
		}
	}
}

// nameRoom is room for the name of a member that is written with escapes.
type nameRoom [64]byte

// holdsMessages reports whether f is one of messageFields.
func (f field) holdsMessages() bool {
	switch f {
	case messagesField, contentsField, requestContentsField, inputField:
		return true
	}
	return false
}

// other notes a member of the body, given its name and the same as it is written.
func (x *index) other(name, written, value []byte) {
	for i := range x.others {
		if string(x.others[i].name) == string(name) {
			x.others[i].value = value
			return
		}
	}
	if len(x.others) == maxOthers {
		x.others, x.many = nil, true
		return
	}
	if len(name) < len(written) { // it had escapes, and is in a room of somebody's
		written = bytes.Clone(name)
	}
	x.others = append(x.others, member{written, value})
}

// member returns the text of the top-level member of that name, or nil.
func (r *Request) member(name string) []byte {
	x := r.read()
	if !x.ok {
		return nil
	}
	if x.many {
		return lastMember(r.Body, name)
	}
	for _, m := range x.others {
		if string(m.name) == name {
			return m.value
		}
	}
	return nil
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
		if string(jsonscan.Text(key, room[:])) == name {
			value = raw
		}
	}
}
