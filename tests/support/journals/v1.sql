BEGIN TRANSACTION;
CREATE TABLE claims (
	"key" TEXT NOT NULL, 
	claimant TEXT NOT NULL, 
	root TEXT NOT NULL, 
	leaf TEXT NOT NULL, 
	want JSON, 
	request TEXT NOT NULL, 
	source TEXT NOT NULL, 
	PRIMARY KEY ("key", claimant)
);
INSERT INTO "claims" VALUES('first/account/cf','allocation:1','allocation:1','allocation:1','{"present":true,"limit":"5"}','01M86M5JWH5TZRCRCDEJWYAPCQ','root');
INSERT INTO "claims" VALUES('first/member/cf/ann','allocation:1/user:ann','allocation:1','user:ann','{"present":true,"limit":null}','01M86M5JWH5TZRCRCDEJWYAPCQ','root');
INSERT INTO "claims" VALUES('first/member/cf/bob','allocation:1/user:bob','allocation:1','user:bob','{"present":true,"limit":null}','01M86M5JWH5TZRCRCDEJWYAPCQ','root');
INSERT INTO "claims" VALUES('first/account/ann','user:ann','user:ann','user:ann','{"present":true,"limit":"7"}','01M86M5K0W821EVSHC9CZT93XK','root');
INSERT INTO "claims" VALUES('second/account/ann','user:ann','user:ann','user:ann','{"present":true,"limit":"7"}','01M86M5K0W821EVSHC9CZT93XK','root');
INSERT INTO "claims" VALUES('first/account/bob','user:bob','user:bob','user:bob','{"present":true,"limit":"8"}','01M86M5K31E4PAKRBCTFV8P8JM','root');
INSERT INTO "claims" VALUES('second/account/bob','user:bob','user:bob','user:bob','{"present":true,"limit":"8"}','01M86M5K31E4PAKRBCTFV8P8JM','root');
CREATE TABLE events (
	seq INTEGER NOT NULL, 
	at FLOAT NOT NULL, 
	request TEXT, 
	kind TEXT NOT NULL, 
	text TEXT NOT NULL, 
	PRIMARY KEY (seq)
);
INSERT INTO "events" VALUES(1,1.79551881102660822872e+09,'01M86M5JWH5TZRCRCDEJWYAPCQ','accepted','one.yaml');
INSERT INTO "events" VALUES(2,1.7955188111306476593e+09,'01M86M5JWH5TZRCRCDEJWYAPCQ','done','');
INSERT INTO "events" VALUES(3,1.79551881116515731811e+09,'01M86M5K0W821EVSHC9CZT93XK','accepted','ann.yaml');
INSERT INTO "events" VALUES(4,1.79551881120617747304e+09,'01M86M5K0W821EVSHC9CZT93XK','done','');
INSERT INTO "events" VALUES(5,1.79551881123397278783e+09,'01M86M5K31E4PAKRBCTFV8P8JM','accepted','bob.yaml');
INSERT INTO "events" VALUES(6,1.7955188155424396992e+09,'01M86M5Q9NFF6WPCFK5PDPK5NC','refused','wrong.yaml');
CREATE TABLE lanes (
	name TEXT NOT NULL, 
	paused_by TEXT, 
	breaker_until FLOAT, 
	breaker_reason TEXT, 
	PRIMARY KEY (name)
);
INSERT INTO "lanes" VALUES('second',NULL,1.79551881758083820344e+09,'the backend is away');
CREATE TABLE objects (
	"key" TEXT NOT NULL, 
	instance TEXT NOT NULL, 
	lane TEXT NOT NULL, 
	generation INTEGER NOT NULL, 
	converged INTEGER NOT NULL, 
	due FLOAT, 
	attempts INTEGER NOT NULL, 
	waiting_since FLOAT, 
	error JSON, 
	state JSON, 
	observed FLOAT, 
	prior JSON, 
	PRIMARY KEY ("key")
);
INSERT INTO "objects" VALUES('first/account/cf','first','first',1,1,NULL,0,NULL,NULL,'{"present":true,"limit":"5"}',1.79551881108756017681e+09,NULL);
INSERT INTO "objects" VALUES('first/member/cf/ann','first','first',1,1,NULL,0,NULL,NULL,'{"present":true,"limit":null}',1.7955188111306476593e+09,NULL);
INSERT INTO "objects" VALUES('first/member/cf/bob','first','first',1,1,NULL,0,NULL,NULL,'{"present":true,"limit":null}',1.7955188111306476593e+09,NULL);
INSERT INTO "objects" VALUES('first/account/ann','first','first',1,1,NULL,0,NULL,NULL,'{"present":true,"limit":"7"}',1.79551881118279838562e+09,NULL);
INSERT INTO "objects" VALUES('second/account/ann','second','second',1,1,NULL,0,NULL,NULL,'{"present":true,"limit":"7"}',1.79551881120617747304e+09,NULL);
INSERT INTO "objects" VALUES('first/account/bob','first','first',1,1,NULL,0,NULL,NULL,'{"present":true,"limit":"8"}',1.79551881125067901612e+09,NULL);
INSERT INTO "objects" VALUES('second/account/bob','second','second',1,0,1.79551881756038069727e+09,0,1795518813.30547,'{"type":"Unavailable","message":"the backend is away","advice":"see `provisioner doctor`; the work goes on by itself when the backend is back","object":"second/account/bob"}',NULL,1.79551881756038069727e+09,NULL);
CREATE TABLE requests (
	id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	writer TEXT NOT NULL, 
	uid INTEGER NOT NULL, 
	writer_id TEXT, 
	order_key TEXT, 
	order_number BIGINT, 
	action TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	body BLOB NOT NULL, 
	state TEXT NOT NULL, 
	not_before FLOAT, 
	accepted FLOAT NOT NULL, 
	ended FLOAT, 
	problems JSON, 
	PRIMARY KEY (id)
);
INSERT INTO "requests" VALUES('01M86M5JWH5TZRCRCDEJWYAPCQ','one.yaml','root',0,NULL,NULL,NULL,'allocation.provision','allocation:1','fae1dbf1b31e2e2aeeacc2f47c4ed85a72e5398c67a8243e192287cb7be7b714',X'70726F766973696F6E65723A20310A616374696F6E3A20616C6C6F636174696F6E2E70726F766973696F6E0A616C6C6F636174696F6E3A0A202069643A20310A20207265736F757263653A206F6E650A202070726F6A6563743A207B636F64653A2063667D0A202075736572733A205B616E6E2C20626F625D0A202071756F74613A207B66696C65733A20357D0A','done',NULL,1.79551881102660822872e+09,1.7955188111306476593e+09,'null');
INSERT INTO "requests" VALUES('01M86M5K0W821EVSHC9CZT93XK','ann.yaml','root',0,NULL,NULL,NULL,'user.provision','user:ann','b1992cfd90cb4e4d0913cdf1de9d5e0d50fd879dd0a72ea3719066b7e29808ff',X'70726F766973696F6E65723A20310A616374696F6E3A20757365722E70726F766973696F6E0A757365723A207B6E616D653A20616E6E2C207569643A20377D0A','done',NULL,1.79551881116515731811e+09,1.79551881120617747304e+09,'null');
INSERT INTO "requests" VALUES('01M86M5K31E4PAKRBCTFV8P8JM','bob.yaml','root',0,NULL,NULL,NULL,'user.provision','user:bob','4ca7e3bd8480f4e963f971ab26a7f4f6b342e6ce71897111d2e012a7e6d599b6',X'70726F766973696F6E65723A20310A616374696F6E3A20757365722E70726F766973696F6E0A757365723A207B6E616D653A20626F622C207569643A20387D0A','deferred',NULL,1.79551881123397278783e+09,NULL,'null');
INSERT INTO "requests" VALUES('01M86M5Q9NFF6WPCFK5PDPK5NC','wrong.yaml','root',0,NULL,NULL,NULL,'','','54049cd52f6f8f2713d51554033eaf890e52ce2725e042d33fa2ba6abf4110ae',X'70726F766973696F6E65723A20310A616374696F6E3A206E6F6E73656E73650A','refused',NULL,1.7955188155424396992e+09,1.7955188155424396992e+09,'[{"line":2,"key":"action","message":"''nonsense'' is no action","expected":"one of user.provision, user.suspend, user.resume, project.provision, project.archive, allocation.provision, allocation.suspend, allocation.resume, membership.add, membership.remove, reconcile, adopt, request.retry, request.hold, request.release, request.cancel, lane.pause, lane.unpause","nearest":"user.suspend"},{"line":1,"key":"user","message":"missing","expected":"","nearest":""}]');
CREATE TABLE step_objects (
	request TEXT NOT NULL, 
	step TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	item TEXT NOT NULL, 
	claimant TEXT NOT NULL, 
	generation INTEGER, 
	state TEXT NOT NULL, 
	changed JSON NOT NULL, 
	error JSON, 
	read_back JSON, 
	PRIMARY KEY (request, step, "key", item)
);
INSERT INTO "step_objects" VALUES('01M86M5JWH5TZRCRCDEJWYAPCQ','account','first/account/cf','','allocation:1',1,'done','["add first/account/cf"]','null','{"present":true,"limit":"5"}');
INSERT INTO "step_objects" VALUES('01M86M5JWH5TZRCRCDEJWYAPCQ','members','first/member/cf/ann','ann','allocation:1/user:ann',1,'done','["add first/member/cf/ann"]','null','{"present":true,"limit":null}');
INSERT INTO "step_objects" VALUES('01M86M5JWH5TZRCRCDEJWYAPCQ','members','first/member/cf/bob','bob','allocation:1/user:bob',1,'done','["add first/member/cf/bob"]','null','{"present":true,"limit":null}');
INSERT INTO "step_objects" VALUES('01M86M5K0W821EVSHC9CZT93XK','early','first/account/ann','','user:ann',1,'done','["add first/account/ann"]','null','{"present":true,"limit":"7"}');
INSERT INTO "step_objects" VALUES('01M86M5K0W821EVSHC9CZT93XK','late','second/account/ann','','user:ann',1,'done','["add second/account/ann"]','null','{"present":true,"limit":"7"}');
INSERT INTO "step_objects" VALUES('01M86M5K31E4PAKRBCTFV8P8JM','early','first/account/bob','','user:bob',1,'done','["add first/account/bob"]','null','{"present":true,"limit":"8"}');
INSERT INTO "step_objects" VALUES('01M86M5K31E4PAKRBCTFV8P8JM','late','second/account/bob','','user:bob',1,'due','[]','{"type":"Unavailable","message":"the backend is away","advice":"see `provisioner doctor`; the work goes on by itself when the backend is back","object":"second/account/bob"}','null');
CREATE TABLE steps (
	request TEXT NOT NULL, 
	name TEXT NOT NULL, 
	ordinal INTEGER NOT NULL, 
	instance TEXT NOT NULL, 
	needs JSON NOT NULL, 
	routed BOOLEAN NOT NULL, 
	state TEXT NOT NULL, 
	started FLOAT, 
	ended FLOAT, 
	error JSON, 
	PRIMARY KEY (request, name)
);
INSERT INTO "steps" VALUES('01M86M5JWH5TZRCRCDEJWYAPCQ','account',0,'first','[]',1,'done',1.79551881102660822872e+09,1.79551881108756017681e+09,NULL);
INSERT INTO "steps" VALUES('01M86M5JWH5TZRCRCDEJWYAPCQ','members',1,'first','["account"]',1,'done',1.79551881108756017681e+09,1.7955188111306476593e+09,'null');
INSERT INTO "steps" VALUES('01M86M5K0W821EVSHC9CZT93XK','early',0,'first','[]',1,'done',1.79551881116515731811e+09,1.79551881118279838562e+09,NULL);
INSERT INTO "steps" VALUES('01M86M5K0W821EVSHC9CZT93XK','late',1,'second','["early"]',1,'done',1.79551881118279838562e+09,1.79551881120617747304e+09,'null');
INSERT INTO "steps" VALUES('01M86M5K31E4PAKRBCTFV8P8JM','early',0,'first','[]',1,'done',1.79551881123397278783e+09,1.79551881125067901612e+09,NULL);
INSERT INTO "steps" VALUES('01M86M5K31E4PAKRBCTFV8P8JM','late',1,'second','["early"]',1,'due',1.79551881125067901612e+09,NULL,'null');
CREATE TABLE suspensions (
	subject TEXT NOT NULL, 
	source TEXT NOT NULL, 
	cause TEXT NOT NULL, 
	request TEXT NOT NULL, 
	since FLOAT NOT NULL, 
	PRIMARY KEY (subject, source, cause)
);
CREATE INDEX requests_state ON requests (state);
CREATE INDEX requests_digest ON requests (digest);
CREATE INDEX requests_writer_id ON requests (writer, writer_id);
CREATE INDEX requests_order ON requests (writer, order_key, order_number);
CREATE INDEX step_objects_key ON step_objects ("key", state);
CREATE INDEX claims_root ON claims (root);
CREATE INDEX claims_leaf ON claims (leaf);
CREATE INDEX objects_due ON objects (lane, due);
CREATE INDEX events_request ON events (request);
COMMIT;
