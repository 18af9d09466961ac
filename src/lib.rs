//! simsync keeps a telecom device-management platform in step with a CRM. The map of the code comes with the front
//! door; until then the rooms below are the order in which they are built.
