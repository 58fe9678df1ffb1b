package extract

// A field is a member of the body, or of one of the objects in it, that the built-in
// extractors ask for. A new one needs a name (in member), a place beside the others of its object
// (insides), and a list that says what it is for, such as bodyIDs or messageFields.
type field uint8

const (
	noField field = iota // no member that is asked for; as the outer one, the body itself

	conversationIDField
	conversationIDCamelField
	conversationField
	sessionIDField
	sessionIDCamelField
	clientMetadataField
	requestField
	metadataField
	requestMetadataField
	unboundMetadataField
	litellmSessionIDField
	litellmMetadataField
	threadIDField
	threadIDCamelField
	chatIDField
	chatIDCamelField
	conversationStateField
	promptCacheKeyField
	previousResponseIDField
	previousInteractionIDField
	threadField
	messagesField
	contentsField
	inputField
	promptField
	systemField
	systemInstructionField
	systemInstructionSnakeField
	instructionsField
	contextField
	cachedContentField
	toolsField
	toolConfigField
	functionsField
	userField

	metadataUserIDField
	metadataSessionIDField
	metadataSessionIDCamelField
	metadataConversationIDField
	metadataCursorConversationIDField
	metadataThreadIDField
	metadataChatIDField

	clientMetadataSessionIDField

	unboundMetadataTaskIDField

	litellmMetadataSessionIDField

	conversationInnerIDField

	conversationStateInnerIDField

	inputMessagesField
	inputSessionIDField

	threadTypeField
	threadPreviousMessageIDField

	requestMetadataSessionIDField
	requestMetadataSessionIDCamelField

	requestSessionIDField
	requestSessionIDCamelField
	requestContentsField
	requestSystemInstructionField
	requestSystemInstructionSnakeField
	requestCachedContentField
	requestToolsField

	numFields
)

// A fieldSet has one bit for each of some fields.
type fieldSet uint64

// This does not compile if the fields do not fit in. Names whose order of precedence does
// not matter may share a field, as some of metadata do: then the last of them in a body
// counts. And what is asked for only where hardly any request comes needs no field: see
// Request.member. Otherwise a fieldSet has to become larger.
const _ = field(64) - numFields

// setOf returns the set of the fields from from to to, both included.
func setOf(from, to field) fieldSet { return 1<<(to+1) - 1<<from }

// has reports whether f is in the set.
func (s fieldSet) has(f field) bool { return s>>f&1 != 0 }

// insides has for each field those that are members of it if it is an object. It says the
// same as member, below, and TestFieldsAreWhereTheirNamesAre checks that it does.
var insides = [numFields]fieldSet{
	metadataField:          setOf(metadataUserIDField, metadataChatIDField),
	clientMetadataField:    setOf(clientMetadataSessionIDField, clientMetadataSessionIDField),
	unboundMetadataField:   setOf(unboundMetadataTaskIDField, unboundMetadataTaskIDField),
	litellmMetadataField:   setOf(litellmMetadataSessionIDField, litellmMetadataSessionIDField),
	conversationField:      setOf(conversationInnerIDField, conversationInnerIDField),
	conversationStateField: setOf(conversationStateInnerIDField, conversationStateInnerIDField),
	inputField:             setOf(inputMessagesField, inputSessionIDField),
	threadField:            setOf(threadTypeField, threadPreviousMessageIDField),
	requestMetadataField:   setOf(requestMetadataSessionIDField, requestMetadataSessionIDCamelField),
	requestField:           setOf(requestSessionIDField, requestToolsField),
}

// inside returns the fields that are members of f.
func (f field) inside() fieldSet { return insides[f] }

// Where the parts of a prompt may stand in a body. All tools and system prompts that are
// there belong to it, in this order. Of the messages only one list counts:
// the first in which those who ask find what they look for (see Request.list).
var (
	toolFields   = []field{toolsField, toolConfigField, functionsField, requestToolsField}
	systemFields = []field{
		systemField,
		systemInstructionField, systemInstructionSnakeField,
		instructionsField,
		requestSystemInstructionField, requestSystemInstructionSnakeField,
	}
	messageFields = []field{messagesField, contentsField, requestContentsField, inputMessagesField, inputField}
)

var (
	messageSet = setOfList(messageFields)

	// idSet are the fields of all ids: of conversations, of state on the server and of users.
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
	for f := range numFields {
		if f.inside()&s != 0 {
			all |= 1 << f
		}
	}
	return all
}

// memberAsWritten is member for a name as it is written, with or without escapes.
func (f field) memberAsWritten(name []byte) field {
	shortest := len("id")
	if f == noField {
		shortest = len("user")
	}
	if len(name) < shortest { // a name is no shorter as it is written
		return noField
	}
	var room nameRoom
	return f.member(room.read(name))
}

// member returns the field that a member of that name is, in the body if f is noField,
// and else in the object f; or noField if it is none.
func (f field) member(name []byte) field {
	switch f {
	case noField:
		switch string(name) {
		case "conversation_id":
			return conversationIDField
		case "conversationId":
			return conversationIDCamelField
		case "conversation":
			return conversationField
		case "session_id":
			return sessionIDField
		case "sessionId":
			return sessionIDCamelField
		case "client_metadata":
			return clientMetadataField
		case "request":
			return requestField
		case "metadata":
			return metadataField
		case "requestMetadata":
			return requestMetadataField
		case "unbound_metadata":
			return unboundMetadataField
		case "litellm_session_id":
			return litellmSessionIDField
		case "litellm_metadata":
			return litellmMetadataField
		case "thread_id":
			return threadIDField
		case "threadId":
			return threadIDCamelField
		case "chat_id":
			return chatIDField
		case "chatId":
			return chatIDCamelField
		case "conversationState":
			return conversationStateField
		case "prompt_cache_key":
			return promptCacheKeyField
		case "previous_response_id":
			return previousResponseIDField
		case "previous_interaction_id":
			return previousInteractionIDField
		case "thread":
			return threadField
		case "messages":
			return messagesField
		case "contents":
			return contentsField
		case "input":
			return inputField
		case "prompt":
			return promptField
		case "system":
			return systemField
		case "systemInstruction":
			return systemInstructionField
		case "system_instruction":
			return systemInstructionSnakeField
		case "instructions":
			return instructionsField
		case "context":
			return contextField
		case "cachedContent", "cached_content":
			return cachedContentField
		case "tools":
			return toolsField
		case "toolConfig":
			return toolConfigField
		case "functions":
			return functionsField
		case "user":
			return userField
		}
	case metadataField:
		switch string(name) {
		case "user_id":
			return metadataUserIDField
		case "session_id":
			return metadataSessionIDField
		case "sessionId":
			return metadataSessionIDCamelField
		case "conversation_id", "conversationId":
			return metadataConversationIDField
		case "cursorConversationId":
			return metadataCursorConversationIDField
		case "thread_id", "threadId":
			return metadataThreadIDField
		case "chat_id", "chatId":
			return metadataChatIDField
		}
	case clientMetadataField:
		if string(name) == "session_id" {
			return clientMetadataSessionIDField
		}
	case litellmMetadataField:
		if string(name) == "session_id" {
			return litellmMetadataSessionIDField
		}
	case unboundMetadataField:
		if string(name) == "taskId" {
			return unboundMetadataTaskIDField
		}
	case conversationField:
		if string(name) == "id" {
			return conversationInnerIDField
		}
	case conversationStateField:
		if string(name) == "conversationId" {
			return conversationStateInnerIDField
		}
	case inputField:
		switch string(name) {
		case "messages":
			return inputMessagesField
		case "session_id":
			return inputSessionIDField
		}
	case threadField:
		switch string(name) {
		case "type":
			return threadTypeField
		case "previous_message_id":
			return threadPreviousMessageIDField
		}
	case requestMetadataField:
		switch string(name) {
		case "session_id":
			return requestMetadataSessionIDField
		case "sessionId":
			return requestMetadataSessionIDCamelField
		}
	case requestField:
		switch string(name) {
		case "session_id":
			return requestSessionIDField
		case "sessionId":
			return requestSessionIDCamelField
		case "contents":
			return requestContentsField
		case "systemInstruction":
			return requestSystemInstructionField
		case "system_instruction":
			return requestSystemInstructionSnakeField
		case "cachedContent", "cached_content":
			return requestCachedContentField
		case "tools":
			return requestToolsField
		}
	}
	return noField
}
