package extract

import (
	"bytes"
	"strings"
)

// A field is a member of the body, or of one of the objects in it, that the built-in
// extractors ask for. A new one has to be on a list that says what it is for, such as bodyIDs
// or messageFields, or among those that are asked for by themselves.
type field uint8

const noField field = 0 // any other member; as the object that a member is in, the body itself

const numFields = 64 // as many as a fieldSet has room for, noField included

// A fieldSet has one bit for each of some fields.
type fieldSet uint64

// has reports whether f is in the set.
func (s fieldSet) has(f field) bool { return s>>f&1 != 0 }

// fields has all fields, once the variables of the package are initialized.
var fields struct {
	last    field
	insides [numFields]fieldSet     // of each field, those that are members of it if it is an object
	members [numFields]*memberTable // the same by their names; for noField, the members of the body
}

// A memberTable has the members of an object by the hashes of their names: at that place or, if
// it is taken, at the next one that is free.
type memberTable [128]struct {
	name  string
	field field
}

// nameHash returns the place in a memberTable for a name, which must not be empty. It is
// chosen so that no field is at the places of model, max_tokens and most other members that
// bodies have.
func nameHash[S string | []byte](name S) uint8 {
	return name[0] ^ name[len(name)-1]<<1 ^ uint8(len(name))<<3
}

const maxName = len("previous_interaction_id") // the longest

// newField returns the field of a path: the name of a member of the body, or the names of an
// object in the body and of a member of that, with a dot in between. (No deeper: inside and
// those who call it go down one level.) It makes the field if there is none. Other names in the
// same object may share it if their order of precedence does not matter: then the last of them
// in a body counts. (They must be given in the first call for the path.) A member that hardly
// any request is asked for needs no field: see Request.member.
func newField(path string, others ...string) (f field) {
	outer, name := noField, path
	if object, inner, ok := strings.Cut(path, "."); ok {
		outer, name = newField(object), inner
	}
	if f = outer.member([]byte(name)); f != noField {
		return f
	}
	fields.last++
	f = fields.last
	if outer != noField {
		fields.insides[outer] |= 1 << f
	}
	if fields.members[outer] == nil {
		fields.members[outer] = new(memberTable)
	}
	for _, name := range append(others, name) {
		table, i := fields.members[outer], nameHash(name)
		for table[i%128].field != noField {
			i++
		}
		table[i%128].name, table[i%128].field = name, f
	}
	return f
}

// The fields that are asked for by themselves.
var (
	clientMetadataField          = newField("client_metadata")
	clientMetadataSessionIDField = newField("client_metadata.session_id")
	contextField                 = newField("context")
	conversationField            = newField("conversation")
	conversationInnerIDField     = newField("conversation.id")
	inputField                   = newField("input")
	inputMessagesField           = newField("input.messages")
	metadataUserIDField          = newField("metadata.user_id")
	previousInteractionIDField   = newField("previous_interaction_id")
	previousResponseIDField      = newField("previous_response_id")
	promptCacheKeyField          = newField("prompt_cache_key")
	promptField                  = newField("prompt")
	threadPreviousMessageIDField = newField("thread.previous_message_id")
	threadTypeField              = newField("thread.type")
	toolsField                   = newField("tools")
	userField                    = newField("user")
	cachedContentField           = newField("cachedContent", "cached_content")
	requestCachedContentField    = newField("request.cachedContent", "cached_content")
)

// inside returns the fields that are members of f.
func (f field) inside() fieldSet { return fields.insides[f] }

var (
	// idSet has the fields of all ids: of conversations, of state on the server and of users.
	// idOrOuter has the objects that they are in as well.
	idSet     = setOfList(pointerFields) | bodyIDSet | setOfList(claudeFields[:])
	idOrOuter = idSet.andOuter()
)

func setOfList(fields []field) (s fieldSet) {
	for _, f := range fields {
		s |= 1 << f
	}
	return s
}

// andOuter returns the set and the fields that have any of it inside.
func (s fieldSet) andOuter() fieldSet {
	all := s
	for f := range field(numFields) {
		if f.inside()&s != 0 {
			all |= 1 << f
		}
	}
	return all
}

// memberAsWritten is member for a name as written, with or without escapes.
func (f field) memberAsWritten(name []byte) field {
	if m := f.member(name); m != noField || bytes.IndexByte(name, '\\') < 0 {
		return m
	}
	var room nameRoom
	return f.member(room.read(name))
}

// member returns the field of the member of that name, in the body if f is noField and otherwise
// in the object f; or noField if it has none.
func (f field) member(name []byte) field {
	table := fields.members[f]
	if table == nil || len(name) == 0 {
		return noField
	}
	for i := nameHash(name); ; i++ {
		if m := &table[i%128]; m.field == noField || m.name == string(name) {
			return m.field
		}
	}
}
