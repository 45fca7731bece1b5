/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_FLOW_FIELDS_H
#define VPCFLOWD_FLOW_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/*
 * Every flow log field, once: code, AWS's name, kind, number among AWS's own IPFIX elements. Parser,
 * column names, JSON keys and the elements of --aws-elements are made from this table. A number of 0:
 * IANA's elements (encode/elements.h) say all of the field. Numbers are for ever: collectors keep
 * them, so a new field gets the next one.
 *
 * Sources: the tables "Available fields" in Amazon VPC's user guide, "Flow log records", and in
 * Amazon VPC Transit Gateways' guide, "Transit Gateway Flow Log records".
 *
 * Kinds: TEXT printable ASCII; ADDRESS IPv4 or IPv6; U8 to U64 unsigned decimal; TIME Unix seconds,
 * or milliseconds when above 2^31-1. Any of them may be "-": not there.
 */
#define VPC_FIELDS(X)                                                                              \
	/* version 2, which is also the default format */                                          \
	X(VERSION, "version", U32, 1001)                                                           \
	X(ACCOUNT_ID, "account-id", TEXT, 1002)                                                    \
	X(INTERFACE_ID, "interface-id", TEXT, 1003)                                                \
	X(SRCADDR, "srcaddr", ADDRESS, 0)                                                          \
	X(DSTADDR, "dstaddr", ADDRESS, 0)                                                          \
	X(SRCPORT, "srcport", U16, 0)                                                              \
	X(DSTPORT, "dstport", U16, 0)                                                              \
	X(PROTOCOL, "protocol", U8, 0)                                                             \
	X(PACKETS, "packets", U64, 0)                                                              \
	X(BYTES, "bytes", U64, 0)                                                                  \
	X(START, "start", TIME, 0)                                                                 \
	X(END, "end", TIME, 0)                                                                     \
	X(ACTION, "action", TEXT, 0)                                                               \
	X(LOG_STATUS, "log-status", TEXT, 1014)                                                    \
	/* version 3 */                                                                            \
	X(VPC_ID, "vpc-id", TEXT, 1015)                                                            \
	X(SUBNET_ID, "subnet-id", TEXT, 1016)                                                      \
	X(INSTANCE_ID, "instance-id", TEXT, 1017)                                                  \
	X(TCP_FLAGS, "tcp-flags", U16, 0)                                                          \
	X(TYPE, "type", TEXT, 1019)                                                                \
	X(PKT_SRCADDR, "pkt-srcaddr", ADDRESS, 1020)                                               \
	X(PKT_DSTADDR, "pkt-dstaddr", ADDRESS, 1021)                                               \
	/* version 4 */                                                                            \
	X(REGION, "region", TEXT, 1022)                                                            \
	X(AZ_ID, "az-id", TEXT, 1023)                                                              \
	X(SUBLOCATION_TYPE, "sublocation-type", TEXT, 1024)                                        \
	X(SUBLOCATION_ID, "sublocation-id", TEXT, 1025)                                            \
	/* version 5 */                                                                            \
	X(PKT_SRC_AWS_SERVICE, "pkt-src-aws-service", TEXT, 1026)                                  \
	X(PKT_DST_AWS_SERVICE, "pkt-dst-aws-service", TEXT, 1027)                                  \
	X(FLOW_DIRECTION, "flow-direction", TEXT, 0)                                               \
	X(TRAFFIC_PATH, "traffic-path", U32, 1029)                                                 \
	/* version 7 */                                                                            \
	X(ECS_CLUSTER_ARN, "ecs-cluster-arn", TEXT, 1030)                                          \
	X(ECS_CLUSTER_NAME, "ecs-cluster-name", TEXT, 1031)                                        \
	X(ECS_CONTAINER_INSTANCE_ARN, "ecs-container-instance-arn", TEXT, 1032)                    \
	X(ECS_CONTAINER_INSTANCE_ID, "ecs-container-instance-id", TEXT, 1033)                      \
	X(ECS_CONTAINER_ID, "ecs-container-id", TEXT, 1034)                                        \
	X(ECS_SECOND_CONTAINER_ID, "ecs-second-container-id", TEXT, 1035)                          \
	X(ECS_SERVICE_NAME, "ecs-service-name", TEXT, 1036)                                        \
	X(ECS_TASK_DEFINITION_ARN, "ecs-task-definition-arn", TEXT, 1037)                          \
	X(ECS_TASK_ARN, "ecs-task-arn", TEXT, 1038)                                                \
	X(ECS_TASK_ID, "ecs-task-id", TEXT, 1039)                                                  \
	/* versions 8, 9, 10 */                                                                    \
	X(REJECT_REASON, "reject-reason", TEXT, 1040)                                              \
	X(RESOURCE_ID, "resource-id", TEXT, 1041)                                                  \
	X(ENCRYPTION_STATUS, "encryption-status", U32, 1042)                                       \
	/* version 11 */                                                                           \
	X(INSTANCE_TAG, "instance-tag", TEXT, 1043)                                                \
	X(INSTANCE_TAG_2, "instance-tag-2", TEXT, 1044)                                            \
	X(INTERFACE_TAG, "interface-tag", TEXT, 1045)                                              \
	X(INTERFACE_TAG_2, "interface-tag-2", TEXT, 1046)                                          \
	X(ASG_TAG, "asg-tag", TEXT, 1047)                                                          \
	X(ASG_TAG_2, "asg-tag-2", TEXT, 1048)                                                      \
	X(INTERFACE_TYPE, "interface-type", TEXT, 1049)                                            \
	X(NEXT_HOP_INTERFACE_ID, "next-hop-interface-id", TEXT, 1050)                              \
	X(NEXT_HOP_SUBNET_ID, "next-hop-subnet-id", TEXT, 1051)                                    \
	X(NEXT_HOP_AZ_ID, "next-hop-az-id", TEXT, 1052)                                            \
	X(NEXT_HOP_VPC_ID, "next-hop-vpc-id", TEXT, 1053)                                          \
	X(NEXT_HOP_INTERFACE_TYPE, "next-hop-interface-type", TEXT, 1054)

/* What only Transit Gateway flow logs (version 6) have. */
#define TGW_FIELDS(X)                                                                              \
	X(RESOURCE_TYPE, "resource-type", TEXT, 1101)                                              \
	X(TGW_ID, "tgw-id", TEXT, 1102)                                                            \
	X(TGW_ATTACHMENT_ID, "tgw-attachment-id", TEXT, 1103)                                      \
	X(TGW_SRC_VPC_ACCOUNT_ID, "tgw-src-vpc-account-id", TEXT, 1104)                            \
	X(TGW_DST_VPC_ACCOUNT_ID, "tgw-dst-vpc-account-id", TEXT, 1105)                            \
	X(TGW_SRC_VPC_ID, "tgw-src-vpc-id", TEXT, 1106)                                            \
	X(TGW_DST_VPC_ID, "tgw-dst-vpc-id", TEXT, 1107)                                            \
	X(TGW_SRC_SUBNET_ID, "tgw-src-subnet-id", TEXT, 1108)                                      \
	X(TGW_DST_SUBNET_ID, "tgw-dst-subnet-id", TEXT, 1109)                                      \
	X(TGW_SRC_ENI, "tgw-src-eni", TEXT, 1110)                                                  \
	X(TGW_DST_ENI, "tgw-dst-eni", TEXT, 1111)                                                  \
	X(TGW_SRC_AZ_ID, "tgw-src-az-id", TEXT, 1112)                                              \
	X(TGW_DST_AZ_ID, "tgw-dst-az-id", TEXT, 1113)                                              \
	X(TGW_PAIR_ATTACHMENT_ID, "tgw-pair-attachment-id", TEXT, 1114)                            \
	X(PACKETS_LOST_NO_ROUTE, "packets-lost-no-route", U64, 1115)                               \
	X(PACKETS_LOST_BLACKHOLE, "packets-lost-blackhole", U64, 1116)                             \
	X(PACKETS_LOST_MTU_EXCEEDED, "packets-lost-mtu-exceeded", U64, 1117)                       \
	X(PACKETS_LOST_TTL_EXPIRED, "packets-lost-ttl-expired", U64, 1118)

#define FIELDS(X) VPC_FIELDS(X) TGW_FIELDS(X)

/*
 * What no record has, but a sum of them (--aggregate): no flow format can name it, and a column that
 * AWS may call so is one of text.
 */
#define DERIVED_FIELDS(X) X(FLOWS, "flows", U64, 0)

/* The default formats, as AWS writes a custom one with these fields. */
#define FORMAT_DEFAULT                                                                             \
	"${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} "    \
	"${protocol} ${packets} ${bytes} ${start} ${end} ${action} ${log-status}"
#define FORMAT_TGW                                                                                 \
	"${version} ${resource-type} ${account-id} ${tgw-id} ${tgw-attachment-id} "                \
	"${tgw-src-vpc-account-id} ${tgw-dst-vpc-account-id} ${tgw-src-vpc-id} "                   \
	"${tgw-dst-vpc-id} ${tgw-src-subnet-id} ${tgw-dst-subnet-id} ${tgw-src-eni} "              \
	"${tgw-dst-eni} ${tgw-src-az-id} ${tgw-dst-az-id} ${tgw-pair-attachment-id} ${srcaddr} "   \
	"${dstaddr} ${srcport} ${dstport} ${protocol} ${packets} ${bytes} ${start} ${end} "        \
	"${log-status} ${type} ${packets-lost-no-route} ${packets-lost-blackhole} "                \
	"${packets-lost-mtu-exceeded} ${packets-lost-ttl-expired} ${tcp-flags} ${region} "         \
	"${flow-direction} ${pkt-src-aws-service} ${pkt-dst-aws-service}"

enum field {
#define X(code, name, kind, element) FIELD_##code,
	FIELDS(X)
#undef X
		FIELD_COUNT, /* AWS's */
	FIELD_LAST_OF_AWS = FIELD_COUNT - 1,
#define X(code, name, kind, element) FIELD_##code,
	DERIVED_FIELDS(X)
#undef X
		FIELD_ALL,
	FIELD_UNKNOWN = FIELD_ALL /* a name that AWS may have added since: a column of text */
};

enum field_kind {
	FIELD_TEXT,
	FIELD_ADDRESS,
	FIELD_U8,
	FIELD_U16,
	FIELD_U32,
	FIELD_U64,
	FIELD_TIME,
};

/* AWS's hyphenated name; static. */
struct slice field_name(enum field field);
/* The name with underscores, as Athena and pandas have it; static. */
struct slice field_column_name(enum field field);
/* FIELD_TEXT for FIELD_UNKNOWN. */
enum field_kind field_kind(enum field field);
/* Its number among AWS's own IPFIX elements; 0 for none. */
uint16_t field_element(enum field field);
static inline bool field_is_number(enum field field)
{
	return field_kind(field) >= FIELD_U8;
}

/* By AWS's name, hyphens or underscores; FIELD_UNKNOWN when there is none. */
enum field field_by_name(struct slice name);
/* A derived field; FIELD_UNKNOWN when there is none of this name. */
enum field field_derived_by_name(struct slice name);
/* By a log transformer's camelCase name: case and hyphens do not count (srcAddr, interfaceId). */
enum field field_by_camel_name(struct slice name);

#endif
